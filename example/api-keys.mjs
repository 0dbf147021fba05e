import bearerAuth from '@fastify/bearer-auth'
import tus from 'fastify-tus'

/** Uploads for programs, each with a key of its own. */
export async function acceptUploads (app, { keys, ...options }) {
  await app.register(async scope => {
    await scope.register(bearerAuth, { keys: new Set(keys) })
    await scope.register(tus, options)
  })
}
