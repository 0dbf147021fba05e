import { createReadStream } from 'node:fs'
import { join } from 'node:path'

/**
 * Nobody reads a file before it was looked at. `findVirus` gets a stream and resolves to the name of what it found, or to `null`.
 *
 * On a filesystem storage the bytes are the file `<directory>/<id>`. On any storage, `app.tus.createReadStream(upload.id)` gives them here.
 */
export function scan (app, directory, findVirus) {
  app.tus.addHook('preFinish', async (request, upload) => {
    const virus = await findVirus(createReadStream(join(directory, upload.id)))
    if (virus === null) return { headers: { 'x-scanned': 'clean' } }
    // This request holds the upload: the removal comes behind it. Awaited here, it would wait for itself.
    app.tus.terminate(upload).catch(error => app.log.error({ err: error, id: upload.id }, 'an infected file is still there'))
    throw Object.assign(new Error(`The file is infected: ${virus}`), { statusCode: 422 })
  })
}
