import { tracingChannel } from 'node:diagnostics_channel'
import type { AppendMessage, LockMessage } from '../../lib/index.js'
import { until } from './waiting.js'

// What the servers of this process are doing, as their diagnostics channels tell it.

/** Resolves when a request that is on its way has brought an upload so far, in bytes: they are stored, or will be whatever becomes of its client. */
export async function untilReceived (path: string, offset: number): Promise<void> {
  const id = getId(path)
  await until(`${offset} bytes of ${path} have arrived`, () => {
    const append = appends.get(id)
    return append !== undefined && append.upload.offset + append.body.received >= offset
  })
}

/** Does something that asks for the lock of an upload, and resolves when it waits for that, or has it. */
export async function untilLockAsked<Result> (path: string, act: () => Promise<Result>): Promise<{ readonly result: Promise<Result> }> {
  const before = countLocks(path)
  const result = act()
  await until(`the lock of ${path} is asked for`, () => countLocks(path) > before)
  return { result }
}

function countLocks (path: string): number {
  return locks.get(getId(path)) ?? 0
}

function getId (path: string): string {
  return path.split('?')[0]!.split('/').at(-1)!
}

const appends = new Map<string, AppendMessage>()
const locks = new Map<string, number>()

const append = tracingChannel<string, AppendMessage>('fastify-tus:append')
append.start.subscribe(message => { appends.set((message as AppendMessage).upload.id, message as AppendMessage) })
append.asyncEnd.subscribe(message => { appends.delete((message as AppendMessage).upload.id) })
tracingChannel<string, LockMessage>('fastify-tus:lock').start.subscribe(message => {
  const { id } = message as LockMessage
  locks.set(id, (locks.get(id) ?? 0) + 1)
})
