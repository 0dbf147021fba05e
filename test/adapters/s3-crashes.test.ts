import assert from 'node:assert/strict'
import { ListMultipartUploadsCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { createS3Storage } from '../../adapters/s3/index.js'
import type { Storage } from '../../lib/storage.js'
import { makeApp } from '../support/app.js'
import { createBucket, createClient, getServer, type S3Address } from '../support/s3/bucket.js'
import { S3Proxy, type Fault } from '../support/s3/proxy.js'
import { lookAtAll, ResumingClient, runScenario } from '../support/s3/scenario.js'

// A scripted series of uploads, in which the k-th request to S3 fails in some way: for every k with S3_CRASHES=all, for some of them without.

const MIB = 1024 ** 2

interface Bench {
  readonly server: S3Address
  readonly client: S3Client
  readonly bucket: string
  prefix: number
}

async function setUp (t: Test): Promise<Bench> {
  const server = await getServer(t, 'ceph')
  const client = createClient(t, server)
  return { server, client, bucket: await createBucket(client), prefix: 0 }
}

/** An application whose storage sends its requests through a proxy of its own. */
async function start (t: Test, { server, bucket, prefix }: Bench, hooks: boolean) {
  const proxy = await S3Proxy.start(t, server.endpoint)
  const client = createClient(t, { ...server, endpoint: proxy.endpoint }, { maxAttempts: 1, requestHandler: { socketTimeout: 1500 } })
  const storage = createS3Storage({ client, bucket, prefix: `${prefix}/`, partSize: 5 * MIB })
  const { app } = await makeApp(t, { storage, expiration: false, lockTimeout: 60_000 })
  if (hooks) app.after(() => lookAtAll(app))
  await app.ready()
  proxy.reset()
  return { app, proxy, storage }
}

/** Nothing stays that belongs to nobody, and nothing at all when the uploads are removed. */
async function checkRemains ({ client, bucket, prefix }: Bench, storage: Storage): Promise<void> {
  const inAMinute = new Date(Date.now() + 60_000)
  await storage.tidy!(inAMinute)
  for await (const { id } of storage.list!()) await storage.remove(id)
  await storage.tidy!(inAMinute)
  const objects = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: `${prefix}/` }))
  assert.deepEqual((objects.Contents ?? []).map(({ Key }) => Key).filter(key => !key!.endsWith('.tmp')), [])
  const uploads = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: `${prefix}/` }))
  assert.deepEqual((uploads.Uploads ?? []).map(({ Key }) => Key), [])
}

let series = 0

/** Runs the script once for every k, until it needs no k-th request any more. What one run has opened is closed before the next. */
async function runSeries (t: Test, bench: Bench, run: (t: Test, k: number) => Promise<boolean>): Promise<void> {
  const step = process.env.S3_CRASHES === 'all' ? 1 : 24
  for (let k = 1 + series++ % step, again = true; again; k += step) {
    bench.prefix++
    await t.test(`request ${k}`, async t => {
      again = false
      again = await run(t, k)
      t.pass('nothing is lost, and nothing is left')
    })
  }
}

for (const when of ['before', 'after'] as const) {
  for (const hooks of [false, true]) {
    t.test(`the process dies ${when} the k-th request${hooks ? ', with hooks' : ''}, and another one goes on`, async t => {
      const bench = await setUp(t)
      await runSeries(t, bench, async (t, k) => {
        const [first, second] = [await start(t, bench, hooks), await start(t, bench, hooks)]
        let dead = false
        const client = new ResumingClient(() => dead ? second.app : first.app)
        const meanwhile = () => {
          dead = true
          client.die()
        }
        first.proxy.intercept = ({ number }): Fault | null => {
          // From its death on nothing that it sends arrives.
          if (dead) return { when: 'before', what: 'reset' }
          return number === k ? { when, what: 'reset', meanwhile } : null
        }
        await runScenario(client)
        await checkRemains(bench, second.storage)
        return dead
      })
    })
  }
}

for (const fault of [
  { when: 'before', what: 500 }, { when: 'after', what: 500 }, { when: 'before', what: 503 }, { when: 'after', what: 503 },
  { when: 'before', what: 'reset' }, { when: 'after', what: 'reset' }, { when: 'before', what: 'silence' }, { when: 'after', what: 'silence' }
] as const) {
  t.test(`the k-th request is answered with ${fault.what} ${fault.when} it is carried out, and the same process goes on`, async t => {
    const bench = await setUp(t)
    await runSeries(t, bench, async (t, k) => {
      const { app, proxy, storage } = await start(t, bench, false)
      proxy.intercept = ({ number }) => number === k ? fault : null
      await runScenario(new ResumingClient(() => app))
      const enough = proxy.calls.length >= k
      proxy.intercept = () => null
      await checkRemains(bench, storage)
      return enough
    })
  })
}
