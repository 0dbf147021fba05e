import { createReadStream, statSync } from 'node:fs'
import { getPatience } from './patience.mjs'
import { getTokenOptions } from './token.mjs'

/** Uploads a file with a version of tus-js-client, as its documentation does. */
export function upload ({ Upload }) {
  const [endpoint, path] = process.argv.slice(2)
  return new Promise((resolve, reject) => {
    const upload = new Upload(createReadStream(path), {
      endpoint,
      uploadSize: statSync(path).size,
      metadata: { filename: 'file.bin' },
      ...getPatience(),
      ...getTokenOptions(),
      onError: reject,
      onSuccess: resolve
    })
    upload.start()
  })
}
