import { testAppending } from './contract/appending.js'
import { testChanges } from './contract/changes.js'
import type { Check, RegisterTest, Reopen } from './contract/check.js'
import { testConcatenation } from './contract/concatenation.js'
import { testCreation } from './contract/creation.js'
import { testIdentity } from './contract/identity.js'
import { testLeases } from './contract/leases.js'
import { testListing } from './contract/listing.js'
import { testReading } from './contract/reading.js'
import { testSuccession } from './contract/succession.js'
import type { Storage } from './storage.js'

export type { RegisterTest } from './contract/check.js'
export { runLockerContract, type LockerContractOptions } from './contract/locker.js'

export interface StorageContractOptions {
  readonly test: RegisterTest
  /** Makes an empty storage, for one test. */
  readonly createStorage: () => Storage | Promise<Storage>
  /** Opens another storage on the same data, as the next process would. Leave out where data end with the storage. */
  readonly reopen?: Reopen
}

/**
 * Tests that an adapter keeps the promises of {@link Storage}. Every adapter of this project passes it, and so should one of your own.
 *
 * ```ts
 * import { test } from 'node:test'
 * import { runStorageContract } from 'fastify-tus/contract'
 *
 * runStorageContract({ test, createStorage: () => createMyStorage() })
 * ```
 */
export function runStorageContract ({ test, createStorage, reopen }: StorageContractOptions): void {
  const check: Check = (name: string, run: (storage: Storage) => Promise<void>) => test(name, async () => {
    const storage = await createStorage()
    await storage.open?.()
    try {
      await run(storage)
    } finally {
      await storage.close?.()
    }
  })

  testCreation(check)
  testAppending(check, reopen)
  testChanges(check)
  testReading(check, reopen)
  testConcatenation(check)
  testIdentity(check)
  testLeases(check)
  testListing(check)
  if (reopen) testSuccession(check, reopen)
}
