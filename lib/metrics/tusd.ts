import type { HookMessage, RequestMessage } from '../channels.js'
import { getErrorCode, getMethod, getStatus } from './answers.js'
import type { Instruments } from './instruments.js'
import type { OpenBodies } from './open-bodies.js'
import type { Subscriptions } from './subscriptions.js'

/** The metrics of tusd that mean the same here, by its names and labels. The codes of errors and the methods of its S3 store are its own. */
export function observeAsTusd ({ counter, gauge }: Instruments, subscriptions: Subscriptions, bodies: OpenBodies, countConnections: () => Promise<number>): void {
  const requests = counter('tusd_requests_total', 'Requests by method', ['method'])
  const errors = counter('tusd_errors_total', 'Errors by status and code', ['status', 'code'])
  const received = counter('tusd_bytes_received', 'Bytes received for uploads', [])
  const created = counter('tusd_uploads_created', 'Created uploads', [])
  const finished = counter('tusd_uploads_finished', 'Finished uploads', [])
  const terminated = counter('tusd_uploads_terminated', 'Terminated uploads', [])
  const invocations = counter('tusd_hook_invocations_total', 'Calls of hooks by type', ['hooktype'])
  const failures = counter('tusd_hook_errors_total', 'Calls of hooks that failed, by type', ['hooktype'])
  gauge('tusd_connections_open', 'Open connections', countConnections)

  for (const hooktype of Object.values(HOOKS)) {
    invocations.inc({ hooktype }, 0)
    failures.inc({ hooktype }, 0)
  }
  subscriptions.onCall<RequestMessage>('fastify-tus:request', ({ message, error }) => {
    requests.inc({ method: getMethod(message) })
    if (error !== undefined) errors.inc({ status: String(getStatus(message, error)), code: getErrorCode(error) })
  })
  bodies.onReceived(count => received.inc(count))
  subscriptions.onEvent('created', () => created.inc())
  subscriptions.onEvent('finished', () => finished.inc())
  subscriptions.onEvent('terminated', () => terminated.inc())
  subscriptions.onCall<HookMessage>('fastify-tus:hook', ({ message, error }) => {
    const hooktype = HOOKS[message.hook]
    if (hooktype === undefined) return
    invocations.inc({ hooktype })
    if (error !== undefined) failures.inc({ hooktype })
  })
}

/** The names of tusd for the hooks that both have. */
const HOOKS: Readonly<Record<string, string>> = {
  preCreate: 'pre-create',
  postCreate: 'post-create',
  postReceive: 'post-receive',
  preFinish: 'pre-finish',
  postFinish: 'post-finish',
  preTerminate: 'pre-terminate',
  postTerminate: 'post-terminate'
}
