// The least that there is: uploads at /files, kept in ./uploads.
//
//   node example/minimal.mjs
import Fastify from 'fastify'
import tus from 'fastify-tus'

const app = Fastify({ logger: true })
await app.register(tus)
await app.listen({ port: Number(process.env.PORT ?? 1080) })
