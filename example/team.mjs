/** Whoever created an upload may do everything with it; others of the same team may download it. `request.user` is known by then. */
export function shareWithTeam (app) {
  app.tus.addHook('preCreate', ({ user }, draft) => {
    return { serverMetadata: { ...draft.serverMetadata, owner: user.sub, team: user.team } }
  })

  app.tus.addHook('preAccess', ({ user }, { serverMetadata }, action) => {
    if (serverMetadata.owner === user.sub) return
    if (serverMetadata.team === user.team && action === 'download') return
    // As for an upload that does not exist: a stranger learns nothing.
    throw Object.assign(new Error('There is no such upload'), { statusCode: 404 })
  })
}
