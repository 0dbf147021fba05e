import { type CanActivate, Controller, type MiddlewareConsumer, Module, type NestModule, Post, Req } from '@nestjs/common'
import { APP_GUARD, NestFactory } from '@nestjs/core'
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify'
import tus from 'fastify-tus'
import { createFsStorage } from 'fastify-tus/fs'

const seen: string[] = []

class RefusesAll implements CanActivate {
  canActivate (): boolean { return process.env.GUARDS !== 'closed' }
}

@Controller()
class AnythingController {
  @Post('anything')
  take (@Req() request: { body: unknown, rawBody?: Buffer }): object { return { body: request.body, raw: String(request.rawBody), seen } }
}

@Module({ controllers: [AnythingController], providers: [{ provide: APP_GUARD, useFactory: () => new RefusesAll() }] })
class AppModule implements NestModule {
  configure (consumer: MiddlewareConsumer): void {
    consumer.apply((request: { method: string, originalUrl: string }, _response: unknown, next: () => void) => {
      seen.push(`${request.method} ${request.originalUrl.split('/', 2).join('/')}`)
      next()
    }).forRoutes('*')
  }
}

/** Registered the other way round: the plugin first, then what Nest adds to every application, with middleware, raw bodies and a guard. */
async function bootstrap (): Promise<void> {
  const app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter(), { rawBody: true })
  await app.register(tus, { prefix: '/uploads', storage: createFsStorage({ directory: './uploads' }) })
  app.enableCors()
  await app.listen(process.env.PORT ?? 3000, '127.0.0.1')
}
bootstrap()
