import { createReadStream, statSync } from 'node:fs'
import { getTokenOptions } from './token.mjs'

/** Uploads a file with a version of tus-js-client, as its documentation does. */
export function upload ({ Upload }) {
  const [endpoint, path] = process.argv.slice(2)
  return new Promise((resolve, reject) => {
    const upload = new Upload(createReadStream(path), {
      endpoint,
      uploadSize: statSync(path).size,
      chunkSize: 4 * 1024 * 1024,
      retryDelays: [0, 200, 1000],
      metadata: { filename: 'file.bin' },
      ...getTokenOptions(),
      onError: reject,
      onSuccess: resolve
    })
    upload.start()
  })
}
