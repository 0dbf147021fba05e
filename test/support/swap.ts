import type { Storage } from '../../lib/storage.js'

/** A storage between whose calls something can happen, and what was called. */
export interface Interruptible {
  readonly storage: Storage
  readonly calls: readonly string[]
  /** Counts calls from 0 again, and does `work` once, before or after the call of that number. */
  arm (index: number, when: 'before' | 'after', work: () => Promise<void>): void
  /** Counts calls from 0 again, and does nothing. */
  disarm (): void
}

const METHODS = ['create', 'find', 'append', 'setLength', 'complete', 'remove', 'update', 'read', 'concatenate', 'addWaiting', 'findWaiting', 'claim', 'saveTo'] as const

/** As another process would, which knows nothing of the locks of this one. */
export function makeInterruptible (inner: Storage): Interruptible {
  let calls: string[] = []
  let armed: { index: number, when: 'before' | 'after', work: () => Promise<void> } | null = null
  const fire = async (index: number, when: 'before' | 'after') => {
    if (armed?.index !== index || armed.when !== when) return
    const { work } = armed
    armed = null
    await work()
  }
  const around = async <Result>(name: string, call: () => Promise<Result>): Promise<Result> => {
    const index = calls.push(name) - 1
    await fire(index, 'before')
    const result = await call()
    await fire(index, 'after')
    return result
  }
  const wrapped = METHODS.filter(name => inner[name] !== undefined).map(name => {
    const method = inner[name] as (...args: unknown[]) => Promise<unknown>
    return [name, (...args: unknown[]) => around(name, () => method.apply(inner, args))] as const
  })
  const storage: Storage = {
    ...inner,
    ...Object.fromEntries(wrapped),
    async * list (hint) {
      for await (const upload of inner.list!(hint)) {
        await around('list', async () => {})
        yield upload
      }
    }
  }
  return {
    storage,
    get calls () { return calls },
    arm (index, when, work) {
      calls = []
      armed = { index, when, work }
    },
    disarm () {
      calls = []
      armed = null
    }
  }
}
