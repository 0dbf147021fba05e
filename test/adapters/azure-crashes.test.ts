import assert from 'node:assert/strict'
import t, { type Test } from 'tap'
import { makeApp } from '../support/app.js'
import { skip } from '../support/azure/azurite.js'
import { setUp, type Machines } from '../support/azure/storages.js'
import type { Fault } from '../support/s3/proxy.js'
import { lookAtAll, ResumingClient, runScenario } from '../support/s3/scenario.js'

// A scripted series of uploads, in which the k-th request to Azure fails in some way: for every k with AZURE_CRASHES=all, for some of them without.

const ALL = process.env.AZURE_CRASHES === 'all'
const STEP = ALL ? 1 : 80

const FAULTS = [
  { when: 'before', what: 500 }, { when: 'after', what: 500 }, { when: 'after', what: 'reset' }, { when: 'after', what: 'silence' }
] as const
const FURTHER_FAULTS = [
  { when: 'before', what: 503 }, { when: 'after', what: 503 }, { when: 'before', what: 'reset' }, { when: 'before', what: 'silence' }
] as const

/** An application whose storage sends its requests through a proxy of its own. */
async function start (t: Test, machines: Machines, prefix: string, { hooks = false, timeout = 60_000 } = {}) {
  const { storage, proxy } = await machines.open({ prefix, blockSize: 1024 ** 2, requestTimeout: timeout }, undefined, t)
  const { app } = await makeApp(t, { storage, expiration: false, lockTimeout: 60_000 })
  if (hooks) app.after(() => lookAtAll(app))
  await app.ready()
  proxy.reset()
  return { app, proxy, storage }
}

/** Nothing stays that belongs to nobody, and nothing at all when the uploads are removed. */
async function checkRemains ({ container }: Machines, prefix: string, storage: Awaited<ReturnType<typeof start>>['storage']): Promise<void> {
  const inAMinute = new Date(Date.now() + 60_000)
  await storage.tidy!(inAMinute)
  for await (const { id } of storage.list!()) await storage.remove(id)
  const names: string[] = []
  for await (const { name } of container.listBlobsFlat({ prefix })) names.push(name)
  assert.deepEqual(names, [])
}

let shared: Machines
let series = 0

t.before(async () => {
  if (!skip && !ALL) shared = await setUp(t)
})

/** Runs the script once for every k, until it needs no k-th request any more. What one run has opened is closed before the next. */
async function runSeries (t: Test, run: (t: Test, machines: Machines, k: number, prefix: string) => Promise<boolean>): Promise<void> {
  const machines = ALL ? await setUp(t) : shared
  const first = 1 + (series++ * 11) % STEP
  for (let k = first, again = true; again; k += STEP) {
    await t.test(`request ${k}`, async t => {
      again = false
      again = await run(t, machines, k, `${series}-${k}/`)
      t.pass('nothing is lost, and nothing is left')
    })
  }
}

for (const when of ['before', 'after'] as const) {
  for (const hooks of [false, true]) {
    t.test(`the process dies ${when} the k-th request${hooks ? ', with hooks' : ''}, and another one goes on`, { skip }, async t => {
      await runSeries(t, async (t, machines, k, prefix) => {
        const [first, second] = [await start(t, machines, prefix, { hooks }), await start(t, machines, prefix, { hooks })]
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
        await checkRemains(machines, prefix, second.storage)
        return dead
      })
    })
  }
}

for (const fault of ALL ? [...FAULTS, ...FURTHER_FAULTS] : FAULTS) {
  t.test(`the k-th request is answered with ${fault.what} ${fault.when} it is carried out, and the same process goes on`, { skip }, async t => {
    await runSeries(t, async (t, machines, k, prefix) => {
      const { app, proxy, storage } = await start(t, machines, prefix, { timeout: fault.what === 'silence' ? 3000 : 60_000 })
      proxy.intercept = ({ number }) => number === k ? fault : null
      await runScenario(new ResumingClient(() => app))
      const enough = proxy.calls.length >= k
      proxy.intercept = () => null
      await checkRemains(machines, prefix, storage)
      return enough
    })
  })
}
