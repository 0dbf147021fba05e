import jwt from '@fastify/jwt'
import tus from 'fastify-tus'

/**
 * As example/bearer-token.mjs, and links for `<img>`, `<video>` and `<a>`, which can't send a header: `?token=…` is good for one minute, and for the
 * download of one upload.
 *
 * Returns what makes the token of such a link.
 */
export async function acceptUploads (app, { secret, ...options }) {
  await app.register(jwt, { secret })
  await app.register(tus, { ...options, routeOptions: { onRequest: authenticate }, scope: request => request.user.sub })

  async function authenticate (request) {
    const { token } = request.query
    if (token !== undefined) request.headers.authorization = `Bearer ${token}`
    await request.jwtVerify()
  }

  app.tus.addHook('preCreate', ({ user }) => {
    if (user.download) throw Object.assign(new Error('This token is for a download'), { statusCode: 403 })
  })
  app.tus.addHook('preAccess', ({ user }, upload, action) => {
    if (user.download === undefined || (action === 'download' && user.download === upload.id)) return
    throw Object.assign(new Error('This token is for another download'), { statusCode: 403 })
  })

  return (user, id) => app.jwt.sign({ sub: user, download: id }, { expiresIn: '1m' })
}
