// HTTPS: HTTP/2 for clients that know it, HTTP/1.1 for the others, on one port.
//
//   TLS_KEY=key.pem TLS_CERT=cert.pem node example/https.mjs
import Fastify from 'fastify'
import tus from 'fastify-tus'
import { createFsStorage } from 'fastify-tus/fs'
import { readFile } from 'node:fs/promises'

const { TLS_KEY = 'key.pem', TLS_CERT = 'cert.pem', UPLOADS = './uploads', PORT = '1443' } = process.env

const app = Fastify({
  logger: true,
  http2: true,
  https: { allowHTTP1: true, key: await readFile(TLS_KEY), cert: await readFile(TLS_CERT) }
})
await app.register(tus, { storage: createFsStorage({ directory: UPLOADS }) })

await app.listen({ port: Number(PORT) })
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => app.close())
