import jwt from '@fastify/jwt'
import tus from 'fastify-tus'

/** Uploads below `/t/<tenant>/files`, for users whose token names that tenant. Those of one tenant don't exist for another. */
export async function acceptUploads (app, { secret, ...options }) {
  await app.register(jwt, { secret })
  await app.register(async scope => {
    await scope.register(tus, { ...options, routeOptions: { onRequest: authenticate } })
  }, { prefix: '/t/:tenant' })

  async function authenticate (request) {
    await request.jwtVerify()
    if (request.user.tenant === request.params.tenant) return
    throw Object.assign(new Error('This token is for another tenant'), { statusCode: 403 })
  }
}
