import cookie from '@fastify/cookie'
import csrf from '@fastify/csrf-protection'
import session from '@fastify/session'
import tus from 'fastify-tus'

/** Uploads for users who have logged in: a route of the application sets `request.session.user`. */
export async function acceptUploads (app, { secret, cookie: attributes, ...options }) {
  await app.register(cookie)
  await app.register(session, { secret, cookie: { sameSite: 'lax', secure: true, ...attributes } })
  await app.register(csrf, { sessionPlugin: '@fastify/session' })
  app.get('/csrf-token', async (request, reply) => ({ token: reply.generateCsrf() }))

  await app.register(tus, {
    ...options,
    routeOptions: { onRequest: [authenticate, protect] },
    scope: request => request.session.user
  })

  async function authenticate (request) {
    if (!request.session.user) throw Object.assign(new Error('Log in first'), { statusCode: 401 })
  }

  function protect (request, reply, next) {
    if (['GET', 'HEAD', 'OPTIONS'].includes(request.method)) next()
    else app.csrfProtection(request, reply, next)
  }
}
