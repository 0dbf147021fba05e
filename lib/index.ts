import fp from 'fastify-plugin'
import { TusError, errorCodes } from './errors.js'
import { StopUpload } from './hooks.js'
import { plugin } from './plugin.js'

/** Resumable uploads as a Fastify plugin: `app.register(fastifyTus, options)`. */
const fastifyTus = Object.assign(fp(plugin, { name: 'fastify-tus', fastify: '5.x' }), { TusError, StopUpload, errorCodes })

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
