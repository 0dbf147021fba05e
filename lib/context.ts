import { BodyBudget } from './body.js'
import { Hooks } from './hooks.js'
import { createMemoryLocker, type Locker } from './locker.js'
import { OpenBodies } from './open-bodies.js'
import type { ResolvedOptions } from './options.js'
import type { Storage } from './storage.js'

/** What every operation needs. */
export interface Context {
  readonly options: ResolvedOptions
  readonly storage: Storage
  readonly locker: Locker
  readonly hooks: Hooks
  readonly budget: BodyBudget
  readonly openBodies: OpenBodies
}

export function createContext (options: ResolvedOptions, storage: Storage): Context {
  return {
    options,
    storage,
    locker: options.locker ?? storage.locker ?? createMemoryLocker(),
    hooks: new Hooks(),
    budget: new BodyBudget(),
    openBodies: new OpenBodies()
  }
}
