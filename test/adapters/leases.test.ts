import t, { type Test } from 'tap'
import { makeUpload } from '../../lib/contract/uploads.js'
import type { Storage } from '../../lib/index.js'
import { skip as skipAzure } from '../support/azure/azurite.js'
import { setUp as setUpAzure } from '../support/azure/storages.js'
import type { S3Proxy } from '../support/s3/proxy.js'
import { setUp as setUpS3 } from '../support/s3/storages.js'

// Leases that are objects, written over what was read: what their own holder wrote is no stranger's, also where it does not know that it wrote.

interface Process {
  readonly storage: Storage
  readonly proxy: S3Proxy
}

const CLOUDS: Readonly<Record<string, { readonly open: (t: Test) => Promise<Process>, readonly skip?: string | false }>> = {
  S3: { open: async t => (await setUpS3(t)).open() },
  Azure: { open: async t => (await setUpAzure(t)).open(), skip: skipAzure }
}

/** Lets every answer about the lease get lost until it is called again. */
function breakAnswers (proxy: S3Proxy): () => void {
  let carriedOut = false
  proxy.intercept = ({ key, method }) => {
    if (!key.endsWith('.claim')) return null
    // The write counts; whether it did can't be asked.
    const when = method === 'PUT' && !carriedOut ? 'after' as const : 'before' as const
    carriedOut = true
    return { when, what: 'reset' }
  }
  return () => { proxy.intercept = () => null }
}

for (const [name, { open, skip = false }] of Object.entries(CLOUDS)) {
  t.test(`on ${name}`, { skip }, async t => {
    const make = async (t: Test) => {
      const { storage, proxy } = await open(t)
      const { id } = makeUpload({})
      return { id, proxy, storage, lease: (await storage.claim!(id, 60_000))! }
    }

    t.test('a renewal whose answer got lost does not cost the lease', async t => {
      const { id, proxy, storage, lease } = await make(t)
      const mend = breakAnswers(proxy)
      await t.rejects(lease.renew(), { name: 'StorageUnavailable' })
      mend()
      t.equal(await lease.renew(), true)
      t.equal(await storage.claim!(id, 60_000), null, 'it is held')
      await lease.release()
      t.ok(await storage.claim!(id, 60_000), 'it is free')
    })

    t.test('after a renewal whose answer got lost, the lease can be ended', async t => {
      const { id, proxy, storage, lease } = await make(t)
      const mend = breakAnswers(proxy)
      await t.rejects(lease.renew(), { name: 'StorageUnavailable' })
      mend()
      await lease.release()
      t.ok(await storage.claim!(id, 60_000), 'it is free')
    })

    t.test('a renewal that meets the end of the lease does not bring it back', async t => {
      const { id, storage, lease } = await make(t)
      await Promise.all([lease.renew(), lease.release()])
      t.ok(await storage.claim!(id, 60_000), 'it is free')
    })

    t.test('a lease that ran out and was taken is lost, and its end leaves the other alone', async t => {
      const { storage } = await open(t)
      const { id } = makeUpload({})
      const first = (await storage.claim!(id, -1))!
      const second = (await storage.claim!(id, 60_000))!
      t.equal(await first.renew(), false)
      await first.release()
      t.equal(await storage.claim!(id, 60_000), null)
      t.equal(await second.renew(), true)
    })
  })
}
