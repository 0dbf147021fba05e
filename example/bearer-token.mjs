import jwt from '@fastify/jwt'
import tus from 'fastify-tus'

/** Uploads for users with a JSON Web Token; its `sub` is the user. Each reaches only uploads of their own. */
export async function acceptUploads (app, { secret, ...options }) {
  await app.register(jwt, { secret })
  await app.register(tus, {
    ...options,
    routeOptions: { onRequest: async request => { await request.jwtVerify() } },
    scope: request => request.user.sub
  })
}
