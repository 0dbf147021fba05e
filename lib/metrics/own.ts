import type { AppendMessage, HookMessage, LockMessage, RequestMessage, SweepMessage } from '../channels.js'
import { LockTimeout } from '../locker.js'
import { getErrorCode, getMethod, getStatus } from './answers.js'
import type { Instruments } from './instruments.js'
import type { OpenBodies } from './open-bodies.js'
import type { Subscriptions } from './subscriptions.js'

/** The metrics of this plugin: `docs/observability.md`. */
export function observe (instruments: Instruments, subscriptions: Subscriptions, bodies: OpenBodies): void {
  observeRequests(instruments, subscriptions)
  observeBodies(instruments, subscriptions, bodies)
  observeEvents(instruments, subscriptions)
  observeWork(instruments, subscriptions)
}

function observeRequests ({ counter, histogram }: Instruments, subscriptions: Subscriptions): void {
  const duration = histogram('fastify_tus_request_duration_seconds', 'How long requests took until their answer was ready', ['method', 'status'], LONG)
  const errors = counter('fastify_tus_errors_total', 'Requests that were answered with an error', ['status', 'code'])
  subscriptions.onCall<RequestMessage>('fastify-tus:request', ({ message, seconds, error }) => {
    const status = String(getStatus(message, error))
    duration.observe({ method: getMethod(message), status }, seconds)
    if (error !== undefined) errors.inc({ status, code: getErrorCode(error) })
  })
}

function observeBodies ({ counter, gauge, histogram }: Instruments, subscriptions: Subscriptions, bodies: OpenBodies): void {
  const received = counter('fastify_tus_received_bytes_total', 'Bytes of uploads that were received, while they come in', [])
  const sizes = histogram('fastify_tus_append_bytes', 'Bytes that one request brought', [], SIZES)
  bodies.onReceived(count => received.inc(count))
  gauge('fastify_tus_open_uploads', 'Uploads that receive bytes now', () => bodies.count)
  subscriptions.onCall<AppendMessage>('fastify-tus:append', ({ message }) => sizes.observe(message.body.received))
}

function observeEvents ({ counter }: Instruments, subscriptions: Subscriptions): void {
  const created = counter('fastify_tus_uploads_created_total', 'Uploads that were created', [])
  const finished = counter('fastify_tus_uploads_finished_total', 'Uploads that were finished: all bytes are there, and the postFinish hooks have run', [])
  const terminated = counter('fastify_tus_uploads_terminated_total', 'Uploads that were removed before they expired', ['reason'])
  const expired = counter('fastify_tus_uploads_expired_total', 'Uploads that were removed because they had expired', [])
  const interrupted = counter('fastify_tus_interruptions_total', 'Bodies that ended early; what arrived was kept', ['reason'])
  subscriptions.onEvent('created', () => created.inc())
  subscriptions.onEvent('finished', () => finished.inc())
  subscriptions.onEvent('terminated', ({ reason }) => terminated.inc({ reason: String(reason) }))
  subscriptions.onEvent('expired', () => expired.inc())
  subscriptions.onEvent('interrupted', ({ reason }) => interrupted.inc({ reason: String(reason) }))
}

function observeWork ({ counter, histogram }: Instruments, subscriptions: Subscriptions): void {
  const waits = histogram('fastify_tus_lock_wait_seconds', 'How long requests waited for an upload that another one used', ['result'], SHORT)
  const hooks = histogram('fastify_tus_hook_duration_seconds', 'How long lifecycle hooks of the application took', ['hook', 'result'], SHORT)
  const sweeps = histogram('fastify_tus_sweep_duration_seconds', 'How long sweeps took', [], LONG)
  const swept = counter('fastify_tus_swept_total', 'What sweeps did: uploads, and files or objects that belonged to none', ['result'])
  const calls = histogram('fastify_tus_s3_request_duration_seconds', 'How long calls of S3 took, with their repetitions', ['operation', 'status'], SHORT)
  subscriptions.onCall<LockMessage>('fastify-tus:lock', ({ seconds, error }) => {
    waits.observe({ result: error === undefined ? 'acquired' : error instanceof LockTimeout ? 'timeout' : 'failed' }, seconds)
  })
  subscriptions.onCall<HookMessage>('fastify-tus:hook', ({ message, seconds, error }) => hooks.observe({ hook: message.hook, result: getResult(error) }, seconds))
  subscriptions.onCall<SweepMessage>('fastify-tus:sweep', ({ message, seconds }) => {
    sweeps.observe({}, seconds)
    for (const [result, count] of Object.entries(message.result ?? {})) swept.inc({ result }, count)
  })
  subscriptions.onCall<{ operation: string }>('fastify-tus:s3', ({ message, seconds, error }) => calls.observe({ operation: message.operation, status: getS3Status(error) }, seconds))
}

function getResult (error: unknown): 'ok' | 'failed' {
  return error === undefined ? 'ok' : 'failed'
}

/** That of the answer; `none` where there was none. A 404 or a 412 is no failure: it is how S3 says that something is not there, or that another was first. */
function getS3Status (error: unknown): string {
  if (error === undefined) return 'ok'
  return String((error as { $metadata?: { httpStatusCode?: number } } | null)?.$metadata?.httpStatusCode ?? 'none')
}

/** In seconds: what should take milliseconds. */
const SHORT = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
/** In seconds: what may take as long as a client needs. */
const LONG = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800, 7200]
/** In bytes: from 1 KiB to 64 GiB. */
const SIZES = [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26].map(power => 1024 * 2 ** power)
