import t from 'tap'
import { readFile } from 'node:fs/promises'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { makeDirectory } from '../support/app.js'
import { ServerProcess } from '../support/server-process.js'
import { download, writeBytes } from '../support/tus-client-bytes.js'
import { ask } from '../support/tus-client-raw.js'
import { loadClient, upload, Journal } from '../support/tus-client.js'

// The stock client sends a file in four parts side by side, and has the server join them.

const SIZE = 24 * 1024 * 1024 + 12_345

for (const name of ['tus-js-client', 'tus-js-client-5']) {
  const library = await loadClient(name)
  t.test(`CC-2, CC-5, CC-7: ${name}, parallelUploads: 4`, { skip: library === null && `${name} is not installed` }, async t => {
    const directory = await makeDirectory(t)
    const path = join(directory, 'file')
    const sha256 = await writeBytes(path, 4, SIZE)
    const server = await ServerProcess.start(t)
    for (const [how, input, options] of [
      ['from a file', createReadStream(path), {}],
      ['from memory, in pieces', await readFile(path), { chunkSize: 1_000_000 }]
    ] as const) {
      const finals: string[] = []
      const journal = new Journal()
      await upload({
        library: library!,
        input,
        endpoint: server.url,
        journal,
        options: {
          parallelUploads: 4,
          metadata: { filename: 'large.bin' },
          metadataForPartialUploads: { part: 'yes' },
          ...options,
          onAfterResponse (request: { getMethod (): string, getHeader (name: string): string | undefined }, response: { getHeader (name: string): string | undefined }) {
            if (request.getMethod() === 'POST' && request.getHeader('Upload-Concat')?.startsWith('final;')) finals.push(response.getHeader('Location')!)
          }
        }
      })
      t.equal(finals.length, 1, how)
      const told = await ask(server.port, 'HEAD', new URL(finals[0]!).pathname)
      t.match(told, { status: 200, headers: { 'upload-offset': String(SIZE), 'upload-length': String(SIZE), 'upload-metadata': 'filename bGFyZ2UuYmlu' } })
      t.equal(told?.headers['upload-concat']?.split(' ').length, 4)
      t.strictSame(await download(finals[0]!), { size: SIZE, sha256 })
    }
  })
}
