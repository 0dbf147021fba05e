import { AsyncResource } from 'node:async_hooks'
import { locks } from './channels.js'
import type { Locker } from './locker.js'

/** The same locker, which lets observers see how long each waits for an upload. */
export function traceLocker (locker: Locker): Locker {
  return {
    withLock: (id, timeout, work) => locks.hasSubscribers ? withTracedLock(locker, id, timeout, work) : locker.withLock(id, timeout, work)
  }
}

/** Only the wait is traced: what is done with the upload runs beside it, in the context of the caller. */
const withTracedLock: (locker: Locker, ...args: Parameters<Locker['withLock']>) => Promise<never> = async (locker, id, timeout, work) => {
  const inContext = AsyncResource.bind(work)
  let done: Promise<unknown> | null = null
  const wait = () => new Promise<void>((resolve, reject) => {
    done = locker.withLock(id, timeout, wanted => {
      resolve()
      return inContext(wanted)
    })
    done.catch(reject)
  })
  await locks.tracePromise(wait, { id })
  return await done! as never
}
