import { Controller, ForbiddenException, Get, Injectable, Module, UnauthorizedException } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify'
import type { FastifyInstance } from 'fastify'
import tus from 'fastify-tus'
import { createFsStorage } from 'fastify-tus/fs'

@Injectable()
class Files {
  readonly names: string[] = []

  /** Throws an exception of Nest for a token that is not good. */
  check (authorization: string | undefined): void {
    if (authorization !== 'Bearer secret') throw new UnauthorizedException()
  }
}

@Controller('files')
class FilesController {
  constructor (private readonly files: Files) {}

  @Get()
  list (): string[] {
    return this.files.names
  }
}

@Module({ controllers: [FilesController], providers: [{ provide: Files, useFactory: () => new Files() }] })
class AppModule {}

async function bootstrap (): Promise<void> {
  const adapter = new FastifyAdapter({ return503OnClosing: false })
  const app = await NestFactory.create<NestFastifyApplication>(AppModule, adapter, { rawBody: true })
  app.setGlobalPrefix('api')
  app.enableShutdownHooks()
  // Before the plugin, whose option `cors` adds what browsers need for uploads.
  app.enableCors({ origin: 'https://app.example.com' })

  const files = app.get(Files)
  await app.register(tus, {
    prefix: '/uploads',
    storage: createFsStorage({ directory: './uploads' }),
    cors: {},
    // Guards run on the routes of controllers alone.
    routeOptions: { onRequest: async request => files.check(request.headers.authorization) }
  })

  const { tus: uploads } = adapter.getInstance<FastifyInstance>()
  uploads.addHook('preCreate', (_request, { metadata }) => {
    if (metadata.filename === undefined) throw new ForbiddenException('A file needs a name')
  })
  uploads.addHook('postFinish', (_request, { metadata }) => { files.names.push(metadata.filename!) })

  await app.listen(process.env.PORT ?? 3000, '127.0.0.1')
}
bootstrap()
