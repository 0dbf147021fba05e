// Behind a proxy on the same machine, such as nginx with example/nginx.conf.
//
//   node example/behind-proxy.mjs
import Fastify from 'fastify'
import tus from 'fastify-tus'
import { createFsStorage } from 'fastify-tus/fs'

const { UPLOADS = './uploads', PORT = '1080' } = process.env

// Whom to believe about the client's address, host and scheme: so the URLs of uploads are those that clients see.
const app = Fastify({ logger: true, trustProxy: '127.0.0.1' })
// nginx does not know the 104 of Resumable Uploads for HTTP.
await app.register(tus, { storage: createFsStorage({ directory: UPLOADS }), interimResponses: false })

await app.listen({ port: Number(PORT) })
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => app.close())
