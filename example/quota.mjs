/**
 * Each user may have `quota` bytes of uploads here, begun or complete. For one process; several share a counter in a database.
 *
 * Its preCreate comes behind the one that says who the owner is.
 */
export function limitPerUser (app, quota) {
  const used = new Map()
  const undecided = new WeakMap()
  const add = ({ serverMetadata: { owner } }, bytes) => used.set(owner, (used.get(owner) ?? 0) + bytes)
  const giveBack = upload => add(upload, -upload.length)

  app.addHook('onReady', async () => {
    for await (const upload of app.tus.list({ partial: true })) add(upload, upload.length)
  })

  app.tus.addHook('preCreate', (request, draft) => {
    if (draft.length === null) throw Object.assign(new Error('Tell the length: there is a quota'), { statusCode: 400 })
    const left = quota - (used.get(draft.serverMetadata.owner) ?? 0)
    if (draft.length > left) {
      throw Object.assign(new Error(`${left} bytes are left of your quota`), { statusCode: 413, headers: { 'x-quota-left': String(left) } })
    }
    add(draft, draft.length)
    undecided.set(request, draft)
  })
  app.tus.addHook('postCreate', request => { undecided.delete(request) })
  // Another hook refused it, or the storage had no room.
  app.addHook('onResponse', async request => {
    if (undecided.has(request)) giveBack(undecided.get(request))
  })

  app.tus.addHook('postTerminate', (request, upload) => { giveBack(upload) })
  app.tus.addHook('postExpire', upload => { giveBack(upload) })
}
