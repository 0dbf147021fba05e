import { channel, tracingChannel, type Channel, type TracingChannel } from 'node:diagnostics_channel'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Interruption } from './body.js'
import type { HookName } from './hooks.js'
import type { SweepCounts } from './operations/sweep.js'
import type { Upload } from './upload.js'

/**
 * What observers may subscribe to, by `node:diagnostics_channel`. Whoever publishes looks for subscribers first, so that nobody pays for what nobody hears.
 * `docs/observability.md` says what each promises. The storage on S3 has one more of its own, `fastify-tus:s3`.
 */
export const requests: Tracing<RequestMessage> = tracingChannel('fastify-tus:request')
export const appends: Tracing<AppendMessage> = tracingChannel('fastify-tus:append')
export const locks: Tracing<LockMessage> = tracingChannel('fastify-tus:lock')
export const hookCalls: Tracing<HookMessage> = tracingChannel('fastify-tus:hook')
export const sweeps: Tracing<SweepMessage> = tracingChannel('fastify-tus:sweep')

/** One per event in the life of an upload. */
export const events: Readonly<Record<LifecycleEvent, Channel>> = {
  created: channel('fastify-tus:upload:created'),
  finished: channel('fastify-tus:upload:finished'),
  terminated: channel('fastify-tus:upload:terminated'),
  expired: channel('fastify-tus:upload:expired'),
  interrupted: channel('fastify-tus:upload:interrupted')
}

export type LifecycleEvent = 'created' | 'finished' | 'terminated' | 'expired' | 'interrupted'

type Tracing<Message extends object> = TracingChannel<unknown, Message & Traced>

/** What Node adds to the message of a traced call. */
export interface Traced {
  error?: unknown
  result?: unknown
}

/** From the first look at a request until its answer is ready to be sent. `request.upload` tells which upload it was about. */
export interface RequestMessage {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  /** That which counts: a header may name another one than the request line. */
  method: string
}

/** While bytes of one request are received and stored. */
export interface AppendMessage {
  /** As it was before. */
  readonly upload: Upload
  /** Grows while bytes come in. */
  readonly body: { readonly received: number, readonly interruption: Interruption | null }
}

/** From the wish for an upload until it is had. Fails with `LockTimeout`. */
export interface LockMessage {
  /** Of the upload. */
  readonly id: string
}

/** One call of one lifecycle hook of the application. */
export interface HookMessage {
  readonly hook: HookName
  /** Of the upload. */
  readonly id: string
}

/** One sweep over all uploads. */
export interface SweepMessage {
  /** Once it has ended. */
  result?: SweepCounts
}

/** Something has happened to an upload. */
export interface LifecycleMessage {
  readonly event: LifecycleEvent
  readonly upload: Upload
  /** `null` where no request is the cause. */
  readonly request: FastifyRequest | null
  /** Why it was interrupted or terminated. */
  readonly reason: Interruption | Termination | null
}

/**
 * `requested`: by a client or by the application. `stopped`: by a hook. `too-long`: its body was. `wrong-digest`: it was not what its `Repr-Digest` said.
 * `useless`: no client knows its URL. `joined`: it was a part of a final upload, and that is complete.
 */
export type Termination = 'requested' | 'stopped' | 'too-long' | 'wrong-digest' | 'useless' | 'joined'
