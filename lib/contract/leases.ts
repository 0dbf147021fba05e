import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Lease, Storage } from '../storage.js'
import type { Check } from './check.js'
import { createFilled } from './uploads.js'

/** The right of one worker to a complete upload. */
export function testLeases (check: Check): void {
  check('claim: of many that ask at once one gets it; renewed it lasts, released it is free', async storage => {
    if (!storage.claim) return
    const id = await createFilled(storage, 'abc')
    const leases = (await Promise.all(Array.from({ length: 5 }, () => storage.claim!(id, 600_000)))).filter(lease => lease !== null)
    assert.equal(leases.length, 1)
    const [lease] = leases as [Lease]
    for (let round = 0; round < 3; round++) assert.equal(await lease.renew(), true)
    assert.equal(await storage.claim(id, 600_000), null)
    await lease.release()
    const next = await storage.claim(id, 600_000)
    assert.ok(next, 'it is free at once')
    await next.release()
  })

  check('claim: one that ran out goes to another, and its end leaves that one alone', async storage => {
    if (!storage.claim) return
    const id = await createFilled(storage, 'abc')
    const first = await storage.claim(id, 1)
    const second = await claimAgain(storage, id)
    assert.equal(await first!.renew(), false)
    await first!.release()
    assert.equal(await storage.claim(id, 600_000), null)
    assert.equal(await second.renew(), true)
    await second.release()
  })
}

async function claimAgain (storage: Storage, id: string): Promise<Lease> {
  for (;;) {
    const lease = await storage.claim!(id, 600_000)
    if (lease !== null) return lease
    await sleep(1)
  }
}
