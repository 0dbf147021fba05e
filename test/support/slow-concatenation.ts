import type { Storage } from '../../lib/storage.js'
import { createGate } from './waiting.js'

/** A storage whose copies of parts wait, as those of large ones take their time. They can be ended as any copy can. */
export interface SlowConcatenation {
  readonly storage: Storage
  /** How many copies have been begun. */
  readonly begun: number
  /** How many of them are waiting. */
  readonly waiting: number
  /** How many were ended while they waited. */
  readonly ended: number
  /** Lets all copies pass, from now on. */
  open (): void
  /** Lets copies wait again. */
  close (): void
}

export function slowDown (inner: Storage): SlowConcatenation {
  let gate = createGate()
  const counts = { begun: 0, waiting: 0, ended: 0 }
  const wait = async (signal?: AbortSignal) => {
    counts.waiting++
    const end = createGate()
    signal?.addEventListener('abort', end.open)
    try {
      await Promise.race([gate.passed, end.passed])
      if (signal?.aborted) counts.ended++
      signal?.throwIfAborted()
    } finally {
      signal?.removeEventListener('abort', end.open)
      counts.waiting--
    }
  }
  return {
    storage: {
      ...inner,
      async concatenate (id, parts, created, signal) {
        counts.begun++
        signal?.throwIfAborted()
        await wait(signal)
        return inner.concatenate!(id, parts, created, signal)
      }
    },
    get begun () { return counts.begun },
    get waiting () { return counts.waiting },
    get ended () { return counts.ended },
    open: () => gate.open(),
    close () { gate = createGate() }
  }
}
