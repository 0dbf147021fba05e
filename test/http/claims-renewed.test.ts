import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { StorageUnavailable, type Claim, type Lease, type Storage } from '../../lib/index.js'
import { makeDirectory } from '../support/app.js'
import { skip as skipAzure } from '../support/azure/azurite.js'
import { setUp as setUpAzure } from '../support/azure/storages.js'
import { createComplete, createGate, until } from '../support/http-tus.js'
import { setUp as setUpS3 } from '../support/s3/storages.js'

// A claim that ends while its own lease is being renewed: by `done`, by `release`, or by leaving its block.

const STORAGES: Readonly<Record<string, { readonly make: (t: Test) => Promise<Storage>, readonly skip?: string | false }>> = {
  memory: { make: async () => createMemoryStorage() },
  filesystem: { make: async t => createFsStorage({ directory: await makeDirectory(t) }) },
  S3: { make: async t => (await (await setUpS3(t)).open()).storage },
  Azure: { make: async t => (await (await setUpAzure(t)).open()).storage, skip: skipAzure }
}

interface Watched {
  readonly app: FastifyInstance
  readonly storage: Storage
  readonly id: string
  /** Of the lease, in their order; `renew…` is one that has come back. */
  readonly calls: string[]
  /** What each renewal does before it asks the storage. */
  before: () => Promise<void>
  /** What the mark of a worker that is done does before it asks the storage. */
  beforeUpdate: () => Promise<void>
}

/** An application with one upload to work on, of whose lease everything is seen. */
async function start (t: Test, storage: Storage): Promise<Watched> {
  const app = Fastify()
  t.teardown(() => app.close())
  const watch = (lease: Lease): Lease => ({
    async renew () {
      watched.calls.push('renew')
      await watched.before()
      const renewed = await lease.renew()
      watched.calls.push('renewed')
      return renewed
    },
    async release () {
      watched.calls.push('release')
      await lease.release()
    }
  })
  await app.register(fastifyTus, {
    expiration: { sweepInterval: null },
    storage: {
      ...storage,
      async claim (id, duration) {
        const lease = await storage.claim!(id, duration)
        return lease && watch(lease)
      },
      async update (id, change) {
        await watched.beforeUpdate()
        return storage.update(id, change)
      }
    }
  })
  const id = (await createComplete(app, 'hello')).split('/').at(-1)!
  const watched: Watched = { app, storage, id, calls: [], before: async () => {}, beforeUpdate: async () => {} }
  return watched
}

/** Claims the upload, and resolves when the renewal of its lease is on its way. */
async function claimAndRenew (watched: Watched): Promise<{ readonly claim: Claim, readonly renewed: () => void }> {
  const gate = createGate()
  watched.before = () => gate.passed
  const claim = await watched.app.tus.claim({ timeout: 0, lease: 3000 })
  await until('the lease is being renewed', () => watched.calls.includes('renew'))
  return { claim: claim!, renewed: gate.open }
}

/** Whether a worker could have it at once. */
async function isFree ({ storage, id }: Watched): Promise<boolean> {
  const lease = await storage.claim!(id, 60_000)
  await lease?.release()
  return lease !== null
}

const ENDS: Readonly<Record<string, { readonly end: (claim: Claim) => PromiseLike<void>, readonly left: object | null }>> = {
  'done()': { end: claim => claim.done(), left: { processed: true } },
  'done({ remove: true })': { end: claim => claim.done({ remove: true }), left: null },
  'release()': { end: claim => claim.release(), left: { processed: false } },
  'the end of its block': { end: claim => claim[Symbol.asyncDispose](), left: { processed: false } }
}

for (const [name, { make, skip = false }] of Object.entries(STORAGES)) {
  t.test(`on ${name}`, { skip }, async t => {
    for (const [how, { end, left }] of Object.entries(ENDS)) {
      t.test(`a claim whose lease is just being renewed ends by ${how}, and nothing is left of it`, async t => {
        const watched = await start(t, await make(t))
        const { claim, renewed } = await claimAndRenew(watched)
        const ending = end(claim)
        renewed()
        await ending
        const { app, calls, id } = watched
        t.match(calls.join(' '), /^renew renewed (renew renewed )?release$/, 'one call of the lease at a time, and its end is the last')
        t.notOk(claim.signal.aborted, 'it was not lost')
        t.match(await app.tus.find(id), left)
        t.ok(await isFree(watched), 'no lease stays')
      })
    }

    t.test('a worker keeps its upload as long as done() takes, however short its lease', async t => {
      const watched = await start(t, await make(t))
      const { app, calls, id } = watched
      const claim = await app.tus.claim({ timeout: 0, lease: 3000 })
      const [begun, gate] = [createGate(), createGate()]
      app.tus.addHook('preTerminate', async () => {
        begun.open()
        await gate.passed
      })
      const done = claim!.done({ remove: true })
      await begun.passed
      calls.length = 0
      await until('it was renewed for more than its length', () => calls.filter(call => call === 'renewed').length > 3)
      t.notOk(await isFree(watched))
      gate.open()
      await done
      t.notOk(claim!.signal.aborted)
      t.equal(await app.tus.find(id), null)
    })
  })
}

for (const [how, before] of Object.entries({
  fail: async () => { throw new StorageUnavailable('away') },
  hang: () => new Promise<void>(() => {})
})) {
  t.test(`a worker hears that its lease is lost where all renewals ${how}`, async t => {
    const watched = await start(t, createMemoryStorage())
    watched.before = before
    const claim = await watched.app.tus.claim({ timeout: 0, lease: 300 })
    await until('it is lost', () => claim!.signal.aborted)
    t.match(claim!.signal.reason, { code: 'TUS_ERR_CLAIM_LOST' })
    t.ok(watched.calls.includes('renew'))
    t.notOk(watched.calls.includes('renewed'))
  })
}

t.test('done() again comes to what it came to, and after release() to TUS_ERR_CLAIM_LOST: no worker believes in what did not happen', async t => {
  const watched = await start(t, createMemoryStorage())
  const { app, id } = watched
  const claim = await app.tus.claim({ timeout: 0 })
  watched.beforeUpdate = async () => { throw new StorageUnavailable('away') }
  await t.rejects(claim!.done(), { code: 'TUS_ERR_STORAGE_UNAVAILABLE' })
  watched.beforeUpdate = async () => {}
  await t.rejects(claim!.done(), { code: 'TUS_ERR_STORAGE_UNAVAILABLE' }, 'the upload is not its own any more')
  await claim!.release()
  t.ok(await isFree(watched), 'it was given back')

  const second = await app.tus.claim({ timeout: 60_000 })
  await second!.release()
  await t.rejects(second!.done(), { code: 'TUS_ERR_CLAIM_LOST' })
  t.match(await app.tus.find(id), { processed: false })

  const third = await app.tus.claim({ timeout: 60_000 })
  await Promise.all([third!.done(), third!.done()])
  await third!.done()
  t.match(await app.tus.find(id), { processed: true })
})

t.test('a worker that is done is not told otherwise because its lease could not be ended', async t => {
  const storage = createMemoryStorage()
  const watched = await start(t, { ...storage, claim: async (id, duration) => ({ ...(await storage.claim!(id, duration))!, release: async () => { throw new StorageUnavailable('away') } }) })
  const claim = await watched.app.tus.claim({ timeout: 0 })
  await claim!.done()
  t.match(await watched.app.tus.find(watched.id), { processed: true })
})

t.test('claims() continues with the next upload if the lease of one could not be ended', async t => {
  const storage = createMemoryStorage()
  const watched = await start(t, { ...storage, claim: async (id, duration) => ({ ...(await storage.claim!(id, duration))!, release: async () => { throw new StorageUnavailable('away') } }) })
  await createComplete(watched.app, 'another')
  const seen: string[] = []
  for await (const claim of watched.app.tus.claims()) {
    if (seen.push(claim.upload.id) === 2) break
  }
  t.equal(new Set(seen).size, 2)
})

t.test('a storage that fails between the lease and the look at the upload leaves no lease', async t => {
  const storage = createMemoryStorage()
  let away = false
  const watched = await start(t, {
    ...storage,
    async claim (id, duration) {
      away = true
      return storage.claim!(id, duration)
    },
    async find (id, hint) {
      if (away) throw new StorageUnavailable('away')
      return storage.find(id, hint)
    }
  })
  await t.rejects(watched.app.tus.claim({ timeout: 0 }), { code: 'TUS_ERR_STORAGE_UNAVAILABLE' })
  t.same(watched.calls, ['release'])
  t.ok(await storage.claim!(watched.id, 1000))
})
