import fp from 'fastify-plugin'
import type { TusApi } from './api.js'
import { TusError, errorCodes } from './errors.js'
import { StopUpload } from './hooks.js'
import { LockTimeout, createMemoryLocker } from './locker.js'
import type { TusOptions } from './options.js'
import { plugin } from './plugin.js'
import { LengthConflict, OffsetConflict, StorageFull, StorageUnavailable, UploadExists, UploadMissing } from './storage.js'
import type { Upload } from './upload.js'

// Here and not in a file of its own: declarations of files that this one does not need for its types are not seen by users.
declare module 'fastify' {
  interface FastifyInstance {
    tus: TusApi
  }
  interface FastifyRequest {
    /** The upload that this request is about, as it was last known; `null` where there is none. */
    upload: Upload | null
  }
}

/**
 * Any instance of Fastify will do: a framework may bring a copy of its own, whose types are not those of the copy that an application has beside it.
 */
type Plugin = (app: unknown, options: TusOptions) => Promise<void>

/** Resumable uploads as a Fastify plugin: `app.register(fastifyTus, options)`. For `require()`, it has all that the module exports. */
const fastifyTus = Object.assign(fp(plugin as Plugin, { name: 'fastify-tus', fastify: '5.x' }), {
  LengthConflict, LockTimeout, OffsetConflict, StopUpload, StorageFull, StorageUnavailable, TusError, UploadExists, UploadMissing, createMemoryLocker, errorCodes
})

export default fastifyTus
export { fastifyTus, fastifyTus as 'module.exports' }
export { TusError, errorCodes, type ErrorFacts } from './errors.js'
export type { ListFilter, ReadOptions, TusApi } from './api.js'
export type { Claim } from './claim.js'
export type { ClaimOptions } from './claims.js'
export type { Extension } from './extensions.js'
export { StopUpload } from './hooks.js'
export type { ConcurrencyLimit } from './admission.js'
export type {
  AppendMessage, HookMessage, LifecycleEvent, LifecycleMessage, LockMessage, RequestMessage, SweepMessage, Termination, Traced
} from './channels.js'
export type { SweepCounts } from './operations/sweep.js'
export type { AccessAction, CreateDecision, FinishDecision, HookName, LifecycleHooks } from './hooks.js'
export { LockTimeout, createMemoryLocker, type Locker, type MemoryLockerOptions, type Wanted } from './locker.js'
export type { MetricsOptions, MetricsRegister } from './metrics/options.js'
export type { MinRate } from './min-rate.js'
export type { OpenApiOptions } from './openapi/document.js'
export type { DownloadOptions, RouteOptions, TusOptions } from './options.js'
export type { ScopeFunction } from './scope.js'
export {
  LengthConflict, OffsetConflict, StorageFull, StorageUnavailable, UploadExists, UploadMissing,
  type Addition, type ByteRange, type CreationTimes, type Lease, type Storage, type UploadBody, type UploadChange
} from './storage.js'
export type { Metadata, NewUpload, Upload, UploadRef } from './upload.js'
