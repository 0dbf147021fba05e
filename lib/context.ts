import { Admission } from './admission.js'
import { Arrivals } from './arrivals.js'
import { Background } from './background.js'
import { Compositions } from './compositions.js'
import { BodyBudget } from './body-budget.js'
import { DigestPool } from './digest-pool.js'
import { Examinations } from './examinations.js'
import { ExpiredIds } from './expiration.js'
import { Hooks } from './hooks.js'
import type { Locker } from './locker.js'
import { OpenBodies } from './open-bodies.js'
import { fitToStorage, type ResolvedOptions } from './options.js'
import { createScopes, type Scopes } from './scope.js'
import { SharedStorage } from './shared-storage.js'
import type { Storage } from './storage.js'
import { traceLocker } from './traced-locker.js'
import type { Upload } from './upload.js'

/** What every operation needs. */
export interface Context {
  readonly options: ResolvedOptions
  readonly storage: Storage
  readonly locker: Locker
  /** Whether the locker excludes other processes on the same storage, too, as one that somebody brought does. */
  readonly excludesEverywhere: boolean
  readonly hooks: Hooks
  readonly admission: Admission
  readonly compositions: Compositions
  readonly budget: BodyBudget
  readonly digestPool: DigestPool
  readonly openBodies: OpenBodies
  /** The uploads that receive a body in this process, by their ids. */
  readonly receiving: Map<string, Upload>
  readonly arrivals: Arrivals
  readonly examinations: Examinations
  readonly background: Background
  readonly expiredIds: ExpiredIds
  /** Complete uploads whose `postFinish` hooks have run without that being noted: the storage failed. */
  readonly unmarked: Set<string>
  readonly scopes: Scopes
  /** The scope of the request at hand: what was created in another is not there. Absent, all uploads are. */
  readonly scope?: string
  /** Whose uploads these are: of one request of the application, or, for `null`, of the plugin's own routes. All of them, if it is absent. */
  readonly target?: string | null
}

/** @param prefix of the routes, with those of the scopes around them */
export function createContext (wanted: ResolvedOptions, storage: Storage, prefix: string): Context {
  const options = fitToStorage(wanted, storage)
  const shared = SharedStorage.of(storage)
  return {
    options,
    storage,
    locker: traceLocker(options.locker ?? storage.locker ?? shared.locker),
    excludesEverywhere: (options.locker ?? storage.locker) !== undefined,
    hooks: new Hooks(),
    admission: new Admission(options.maxConcurrentUploads),
    compositions: new Compositions(options.locker ?? storage.locker ?? shared.locker, shared.composing, options.maxConcurrentUploads),
    budget: new BodyBudget(),
    digestPool: new DigestPool(options.digestThreads),
    openBodies: new OpenBodies(),
    receiving: shared.receiving,
    arrivals: new Arrivals(),
    examinations: new Examinations(),
    background: new Background(),
    expiredIds: new ExpiredIds(),
    unmarked: new Set(),
    scopes: createScopes(options.scope, prefix)
  }
}
