import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Moves complete uploads to `<folder>/<owner>/<id>-<filename>`. The work may just as well be done by a process of its own. */
export function moveComplete (app, folder) {
  const closing = new AbortController()
  let working

  app.addHook('onReady', async () => { working = work() })
  app.addHook('onClose', async () => {
    closing.abort()
    await working
  })

  async function work () {
    for await (const claim of app.tus.claims({ signal: closing.signal })) {
      try {
        await move(claim)
      } catch (error) {
        // A claim that is not done is given back, and comes again in a second.
        app.log.error({ err: error, id: claim.upload.id }, 'a file could not be moved')
      }
    }
  }

  async function move (claim) {
    const { id, metadata, serverMetadata } = claim.upload
    const home = join(folder, toName(serverMetadata.owner))
    await mkdir(home, { recursive: true })
    // Dies the process between these two, the next one does both again: the same bytes replace themselves.
    await claim.saveTo(join(home, `${id}-${toName(metadata.filename ?? 'file')}`))
    await claim.done({ remove: true })
  }
}

/** What a client chose must not become a path. */
function toName (text) {
  return text.replace(/[^\p{L}\p{N}._-]+/gu, '_').replace(/^\.+/, '_').slice(-80)
}
