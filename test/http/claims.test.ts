import { mkdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import type { TusOptions } from '../../lib/index.js'
import { listNames, makeApp, makeDirectory, type TestApp } from '../support/app.js'
import { sleep, until } from '../support/waiting.js'

/** Uploads a whole file, and gives its id. */
async function upload ({ app }: TestApp, content: string, headers: Record<string, string> = {}): Promise<string> {
  const response = await app.inject({
    method: 'POST',
    url: '/files',
    headers: { 'tus-resumable': '1.0.0', 'upload-length': String(content.length), 'content-type': 'application/offset+octet-stream', ...headers },
    payload: content
  })
  t.equal(response.statusCode, 201)
  return response.headers.location!.split('/').at(-1)!
}

const storages: Array<readonly [string, TusOptions]> = [['filesystem', {}], ['memory', { storage: createMemoryStorage() }]]

for (const [name, options] of storages) {
  t.test(`claims on the ${name}`, async t => {
    const made = await makeApp(t, options)
    const { tus } = made.app
    const directory = await makeDirectory(t)

    t.test('nothing is there to claim: null at the timeout', async t => {
      t.equal(await tus.claim({ timeout: 0 }), null)
      t.equal(await tus.claim({ timeout: 30 }), null)
    })

    t.test('a complete upload is claimed once, read, and done', async t => {
      const id = await upload(made, 'hello')
      const claim = await tus.claim({ timeout: 0 })
      t.equal(claim?.upload.id, id)
      t.equal(claim?.upload.complete, true)
      t.equal(await tus.claim({ timeout: 0 }), null, 'it is held')
      t.equal(Buffer.concat(await claim!.createReadStream().toArray()).toString(), 'hello')
      t.equal(Buffer.concat(await claim!.createReadStream({ start: 1, end: 3 }).toArray()).toString(), 'ell')
      await claim!.done()
      await claim!.release()
      t.equal(await tus.claim({ timeout: 0 }), null, 'it is done')
      t.equal((await tus.find(id))?.processed, true, 'it is still there')
    })

    t.test('done with remove takes the upload away, with the hooks', async t => {
      const id = await upload(made, 'hello')
      const removed: string[] = []
      tus.addHook('postTerminate', (_request, upload) => { removed.push(upload.id) })
      const claim = await tus.claim({ timeout: 0 })
      await claim!.done({ remove: true })
      t.equal(await tus.find(id), null)
      t.same(removed, [id])
    })

    t.test('an upload that was released goes to another worker, after a rest', async t => {
      const id = await upload(made, 'hello')
      const claim = await tus.claim({ timeout: 0 })
      await claim!.release()
      await claim!.release()
      t.equal(await tus.claim({ timeout: 0 }), null, 'a worker that fails must not spin')
      const again = await tus.claim({ timeout: 60_000 })
      t.equal(again?.upload.id, id)
      await again!.done({ remove: true })
    })

    t.test('a worker that throws releases, and nothing is deleted', async t => {
      const id = await upload(made, 'hello')
      await t.rejects(async () => {
        const claim = await tus.claim({ timeout: 0 })
        try {
          throw new Error('of the worker')
        } finally {
          await claim?.[Symbol.asyncDispose]()
        }
      }, { message: 'of the worker' })
      t.equal((await tus.find(id))?.processed, false)
      const again = await tus.claim({ timeout: 60_000 })
      t.equal(again?.upload.id, id)
      await again!.done({ remove: true })
    })

    t.test('saveTo puts the bytes at a path, whole, over what was there', async t => {
      await upload(made, 'hello')
      const claim = await tus.claim({ timeout: 0 })
      const path = join(directory, 'saved.txt')
      await writeFile(path, 'something older and longer')
      await claim!.saveTo(path)
      t.equal(await readFile(path, 'utf8'), 'hello')
      await claim!.done({ remove: true })
      t.equal(await readFile(path, 'utf8'), 'hello', 'it outlives the upload')
      t.same(await listNames(directory), ['saved.txt'], 'no temporary file stays')
    })

    t.test('saveTo to a place that is not there fails, and the upload stays', async t => {
      const id = await upload(made, 'hello')
      const claim = await tus.claim({ timeout: 0 })
      await t.rejects(claim!.saveTo(join(directory, 'no', 'such', 'folder')))
      t.ok(await tus.find(id))
      await claim!.done({ remove: true })
    })

    t.test('a waiting claim gets an upload as soon as it is complete', async t => {
      const waiting = tus.claim({ timeout: 60_000 })
      const id = await upload(made, 'hello')
      const claim = await waiting
      t.equal(claim?.upload.id, id)
      await claim!.done({ remove: true })
    })

    t.test('what is incomplete or partial is nobody\'s work', async t => {
      await made.app.inject({ method: 'POST', url: '/files', headers: { 'tus-resumable': '1.0.0', 'upload-length': '5' } })
      const partial = await upload(made, 'part', { 'upload-concat': 'partial' })
      t.equal(await tus.claim({ timeout: 0 }), null)
      await tus.terminate(partial)
    })

    t.test('claims iterates, and releases what its consumer leaves unsettled', async t => {
      const ids = [await upload(made, 'one'), await upload(made, 'two'), await upload(made, 'three')]
      const stop = new AbortController()
      const seen: string[] = []
      for await (const claim of tus.claims({ signal: stop.signal, lease: 30_000 })) {
        seen.push(claim.upload.id)
        // The first is left unsettled the first time.
        if (seen.length > 1) await claim.done({ remove: true })
        if (seen.length === 4) stop.abort()
      }
      t.equal(seen.length, 4)
      t.same([...new Set(seen)].sort(), ids.sort())
      t.equal(seen[3], seen[0])
    })

    t.test('an aborted signal ends the waiting', async t => {
      const stop = new AbortController()
      const waiting = tus.claim({ signal: stop.signal })
      stop.abort(new Error('enough'))
      await t.rejects(waiting, { message: 'enough' })
      const claims = tus.claims({ signal: stop.signal })[Symbol.asyncIterator]()
      t.same(await claims.next(), { done: true, value: undefined })
    })

    t.test('a lease that ran out goes to another worker, and the first can not be done with it', async t => {
      const id = await upload(made, 'hello')
      const first = await made.app.tus.claim({ timeout: 0, lease: 100_000 })
      if (name === 'memory') {
        await first!.done({ remove: true })
        return
      }
      // As if this worker had been stopped for longer than its lease.
      const past = new Date(Date.now() - 200_000)
      await utimes(join(made.directory, `${id}.claim`), past, past)
      const second = await tus.claim({ timeout: 60_000, lease: 100_000 })
      t.equal(second?.upload.id, id)
      await t.rejects(first!.done({ remove: true }), { code: 'TUS_ERR_CLAIM_LOST' })
      t.ok(await tus.find(id), 'it is the other one\'s')
      await second!.done({ remove: true })
    })

    t.test('a lease renews itself, and tells when it is lost', async t => {
      const id = await upload(made, 'hello')
      const claim = await tus.claim({ timeout: 0, lease: 3000 })
      await sleep(4500)
      t.equal(await tus.claim({ timeout: 0 }), null, 'it is held for longer than its length')
      if (name === 'filesystem') {
        await writeFile(join(made.directory, 'other'), '{"duration":100000}')
        await (await import('node:fs/promises')).rename(join(made.directory, 'other'), join(made.directory, `${id}.claim`))
        await until('it is lost', () => claim!.signal.aborted)
      }
      await claim!.release()
    })

    t.test('closing the application ends the waiting', async t => {
      const waiting = tus.claim()
      await made.app.close()
      t.equal(await waiting, null)
    })
  })
}

t.test('saveTo on the filesystem copies nothing where it need not', async t => {
  const made: TestApp = await makeApp(t as Test)
  const id = await upload(made, 'hello')
  const claim = await made.app.tus.claim({ timeout: 0 })
  const folder = join(made.directory, '..', `${id}-saved`)
  await mkdir(folder)
  t.teardown(async () => (await import('node:fs/promises')).rm(folder, { recursive: true }))
  await claim!.saveTo(join(folder, 'a'))
  t.equal((await stat(join(folder, 'a'))).ino, (await stat(join(made.directory, id))).ino)
  await claim!.done({ remove: true })
  t.equal(await readFile(join(folder, 'a'), 'utf8'), 'hello')
})

t.test('a storage without claims says so', async t => {
  const { claim: _, ...storage } = createMemoryStorage()
  const { app } = await makeApp(t as Test, { storage })
  await t.rejects(app.tus.claim({ timeout: 0 }), { code: 'TUS_ERR_CLAIMS_UNSUPPORTED' })
})
