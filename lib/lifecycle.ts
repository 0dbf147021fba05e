import { events, type LifecycleEvent, type LifecycleMessage } from './channels.js'
import type { HookRequest } from './hooks.js'
import type { Log } from './log.js'
import type { Upload } from './upload.js'

/**
 * Tells the log and whoever subscribes what has happened to an upload: one line each, with its id and numbers. Metadata has no place there: it is the client's.
 *
 * @param reason why it was interrupted or terminated
 */
export function tell (event: LifecycleEvent, upload: Upload, { log, request }: { log: Log, request: HookRequest | null }, reason: LifecycleMessage['reason'] = null): void {
  const { id, offset, length, partial, final } = upload
  log.info({ event, id, offset, length, ...partial && { partial }, ...final && { final }, ...reason !== null && { reason } }, SENTENCES[event])
  const channel = events[event]
  if (channel.hasSubscribers) channel.publish({ event, upload, request, reason } satisfies LifecycleMessage)
}

const SENTENCES: Readonly<Record<LifecycleEvent, string>> = {
  created: 'an upload was created',
  finished: 'an upload is finished',
  terminated: 'an upload was terminated',
  expired: 'an upload has expired',
  interrupted: 'an upload was interrupted'
}
