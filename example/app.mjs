// Uploads for users with a token: each sees only their own, has a quota, and finds complete files in a folder of their own.
//
//   JWT_SECRET=… node example/app.mjs
import jwt from '@fastify/jwt'
import Fastify from 'fastify'
import tus from 'fastify-tus'
import { createFsStorage } from 'fastify-tus/fs'
import { authorise } from './authorise.mjs'
import { moveComplete } from './move.mjs'
import { limitPerUser } from './quota.mjs'

const { JWT_SECRET, PORT = '1080', UPLOADS = './uploads', FOLDER = './complete', QUOTA = '10000000000' } = process.env
if (!JWT_SECRET) throw new Error('JWT_SECRET is missing')

const app = Fastify({ logger: true })
await app.register(jwt, { secret: JWT_SECRET })
await app.register(tus, { storage: createFsStorage({ directory: UPLOADS }) })
authorise(app)
limitPerUser(app, Number(QUOTA))
moveComplete(app, FOLDER)

await app.listen({ port: Number(PORT) })
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => app.close())
