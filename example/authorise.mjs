/**
 * Only who has a token may upload, and only the one who made an upload may go on with it, read it or remove it.
 *
 * Needs @fastify/jwt on `app`; the user is the `sub` of the token.
 */
export function authorise (app) {
  app.tus.addHook('preCreate', async (request, draft) => {
    const { sub } = await request.jwtVerify()
    return { serverMetadata: { ...draft.serverMetadata, owner: sub } }
  })

  app.tus.addHook('preAccess', async (request, upload) => {
    const { sub } = await request.jwtVerify()
    if (upload.serverMetadata.owner === sub) return
    // As for an upload that does not exist: a stranger learns nothing.
    throw Object.assign(new Error('There is no such upload'), { statusCode: 404 })
  })
}
