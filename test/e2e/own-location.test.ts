import t from 'tap'
import { KINDS, startKind } from '../support/own-locations.js'
import { download, makeBytes, sha256 } from '../support/tus-client-bytes.js'
import { loadClient, upload } from '../support/tus-client.js'

// The stock client sends a file in parts side by side, to URLs that the application has written.

const CONTENT = makeBytes(7, 700_000)

for (const name of ['tus-js-client', 'tus-js-client-5']) {
  const library = await loadClient(name)
  for (const [kind, ways] of Object.entries(KINDS)) {
    t.test(`${name}, parallelUploads: 3, where \`location\` gives ${kind}`, { skip: library === null && `${name} is not installed` }, async t => {
      const { app, origin } = await startKind(t, ways)
      const finished: string[] = []
      app.tus.addHook('postFinish', (_request, { id }) => { finished.push(id) })
      const finals: string[] = []
      await upload({
        library: library!,
        input: CONTENT,
        endpoint: `${origin}/files`,
        options: {
          parallelUploads: 3,
          chunkSize: 100_000,
          onAfterResponse (request: { getMethod (): string, getHeader (name: string): string | undefined }, response: { getHeader (name: string): string | undefined }) {
            if (request.getMethod() === 'POST' && request.getHeader('Upload-Concat')?.startsWith('final;')) finals.push(response.getHeader('Location')!)
          }
        }
      })
      t.equal(finals.length, 1)
      t.equal(finished.length, 1)
      t.strictSame(await download(new URL(finals[0]!, `${origin}/files`).href), { size: CONTENT.length, sha256: sha256(CONTENT) })
    })
  }
}
