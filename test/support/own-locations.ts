import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { createHmac, randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { type TusOptions } from '../../lib/index.js'

/** One way in which an application writes the URLs of uploads. */
export interface Kind {
  readonly location: NonNullable<TusOptions['location']>
  /** How the application leads such a URL to the routes; without it, they are where they are. */
  readonly rewrite?: (url: string) => string
  /** Whether the application refuses a request for an upload with this URL. */
  readonly refuses?: (url: string) => boolean
}

const sign = (text: string) => createHmac('sha256', 'secret').update(text).digest('base64url')
const isForged = (url: string) => {
  const { pathname, searchParams } = new URL(url, 'http://localhost')
  const id = pathname.split('/')[2]
  return Boolean(id) && searchParams.get('sig') !== sign(`${id} ${searchParams.get('until') ?? ''}`)
}

export const KINDS: Readonly<Record<string, Kind>> = {
  'a path': {
    location: (_request, id) => `/api/uploads/${id}`,
    rewrite: url => url.replace(/^\/api\/uploads\//, '/files/')
  },
  'an absolute URL': {
    location: ({ host }, id) => `http://${host}/api/uploads/${id}`,
    rewrite: url => url.replace(/^\/api\/uploads\//, '/files/')
  },
  'a relative URL': {
    location: (_request, id) => `files/${id}`
  },
  'the id in the middle of the path': {
    location: ({ host }, id) => `http://${host}/api/${encodeURIComponent('übergabe')}/u-${id}.part/content`,
    rewrite: url => url.replace(/^\/api\/%C3%BCbergabe\/u-(.*)\.part\/content/, '/files/$1')
  },
  'the id as a parameter': {
    location: (_request, id) => `/api/upload?kind=file&id=${id}`,
    rewrite: url => url.replace(/^\/api\/upload\?kind=file&id=(.*)/, '/files/$1')
  },
  'another host': {
    location: ({ port }, id) => `http://localhost:${port}/files/${id}`
  },
  'another script': {
    location: (_request, id) => `/загрузки/${id}`,
    rewrite: url => url.replace(/^\/%D0%B7%D0%B0%D0%B3%D1%80%D1%83%D0%B7%D0%BA%D0%B8\//, '/files/')
  },
  'a signature': {
    location: ({ host }, id) => `http://${host}/files/${id}?sig=${sign(`${id} `)}`,
    refuses: isForged
  },
  'a signature that differs each time': {
    location (_request, id) {
      const until = `${Date.now() + 60_000}.${randomUUID()}`
      return `/files/${id}?until=${until}&sig=${sign(`${id} ${until}`)}`
    },
    refuses: isForged
  },
  'a promise': {
    async location ({ host }, id) {
      await new Promise(resolve => setImmediate(resolve))
      return `http://${host}/files/${id}`
    }
  }
}

/** An application with a `location` of that kind, listening. */
export async function startKind (t: Test, { location, rewrite, refuses }: Kind, options: TusOptions = {}): Promise<{ app: FastifyInstance, origin: string }> {
  const app = Fastify(rewrite === undefined ? {} : { rewriteUrl: ({ url = '/' }) => rewrite(url) })
  t.teardown(() => app.close())
  app.addHook('onRequest', async (request: FastifyRequest) => {
    if (refuses?.(request.originalUrl)) throw Object.assign(new Error('not signed'), { statusCode: 403 })
  })
  await app.register(fastifyTus, { storage: createMemoryStorage(), location, ...options })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, origin: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}` }
}
