import type { Storage } from '../storage.js'

/** Registers one test: `test` of `node:test`, or a function that adapts another runner. */
export type RegisterTest = (name: string, run: () => Promise<void>) => unknown

/** Registers a test of an empty storage, which is closed behind it. */
export type Check = (name: string, run: (storage: Storage) => Promise<void>) => unknown

/** Opens another storage on the same data, as the next process would. */
export type Reopen = (storage: Storage) => Storage | Promise<Storage>
