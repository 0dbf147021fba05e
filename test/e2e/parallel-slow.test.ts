import t from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { makeDirectory, startApp, type TestApp } from '../support/app.js'
import { head, makeBytes, until } from '../support/http-tus.js'
import { slowDown, type SlowConcatenation } from '../support/slow-concatenation.js'
import { loadClient, upload } from '../support/tus-client.js'

// Stock clients whose parts take longer to copy than the server lets them wait. They take the 201 for the end, and don't ask again.

const CONTENT = makeBytes(3_000_000)

interface Setting extends TestApp {
  readonly slow: SlowConcatenation
  readonly finished: string[]
  readonly requests: string[]
}

async function setUp (t: Parameters<typeof startApp>[0]): Promise<Setting> {
  const slow = slowDown(createFsStorage({ directory: await makeDirectory(t) }))
  const started = await startApp(t, { storage: slow.storage, concatTimeout: 50, removeParts: true })
  const finished: string[] = []
  const requests: string[] = []
  started.app.tus.addHook('postFinish', (_request, { id }) => { finished.push(id) })
  started.app.tus.addHook('preAccess', (_request, { final }, action) => { if (final) requests.push(action) })
  return { ...started, slow, finished, requests }
}

/** Without its types, which bring those of browsers along. */
async function load (name: string) {
  return (await import(name)).default
}

/** The client is done, and the copy is not. */
async function check (t: Parameters<typeof startApp>[0], { app, slow, finished, requests }: Setting): Promise<void> {
  await until('the copy has begun', () => slow.waiting === 1)
  t.strictSame([finished, requests], [[], []], 'the client says that it is done, and has not asked how far the file is')
  slow.open()
  await until('postFinish has run', () => finished.length === 1)
  t.ok((await app.inject(`/files/${finished[0]}`)).rawPayload.equals(CONTENT))
  t.match(await head(app, `/files/${finished[0]}`), { headers: { 'upload-offset': String(CONTENT.length) } })
  const uploads: string[] = []
  for await (const { id } of app.tus.list({ partial: true })) uploads.push(id)
  t.strictSame([uploads, slow.begun], [finished, 1], 'and there is nothing else')
}

for (const name of ['tus-js-client', 'tus-js-client-5']) {
  const library = await loadClient(name)
  t.test(`${name}, parallelUploads: 4: onSuccess comes with the 201, the file with postFinish`, { skip: library === null && `${name} is not installed` }, async t => {
    const setting = await setUp(t)
    const journal = await upload({ library: library!, input: CONTENT, endpoint: setting.url, options: { parallelUploads: 4 } })
    t.same(journal.failures, {})
    await check(t, setting)
  })
}

t.test('Uppy, parallelUploads: 4: upload-success comes with the 201, the file with postFinish', async t => {
  const [Uppy, Tus] = [await load('@uppy/core'), await load('@uppy/tus')]
  const setting = await setUp(t)
  const uppy = new Uppy().use(Tus, { endpoint: setting.url, retryDelays: [0, 200], parallelUploads: 4 })
  t.teardown(() => uppy.destroy())
  // Outside of a browser, tus-js-client takes a buffer where Uppy has a file, which knows its size.
  uppy.addFile({ name: 'file.bin', type: 'application/octet-stream', data: Object.assign(Buffer.from(CONTENT), { size: CONTENT.length }) })
  const result = await uppy.upload()
  t.strictSame([result?.successful?.length, result?.failed?.length], [1, 0])
  await check(t, setting)
})
