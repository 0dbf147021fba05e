import assert from 'node:assert/strict'
import { LockTimeout, type Locker } from '../locker.js'
import type { RegisterTest } from './check.js'
import { defer, once, tick } from './uploads.js'

export interface LockerContractOptions {
  readonly test: RegisterTest
  readonly createLocker: () => Locker | Promise<Locker>
}

/** Tests that a locker keeps the promises of {@link Locker}. */
export function runLockerContract ({ test, createLocker }: LockerContractOptions): void {
  const check = (name: string, run: (locker: Locker) => Promise<void>) => test(name, async () => run(await createLocker()))

  check('passes on what the work resolves to, and what it throws', async locker => {
    assert.equal(await locker.withLock('a', 1000, async () => 42), 42)
    const failure = new Error('no')
    await assert.rejects(locker.withLock('a', 1000, async () => { throw failure }), failure)
    assert.equal(await locker.withLock('a', 1000, async () => 43), 43)
  })

  check('lets one in at a time, in the order of the calls', async locker => {
    const order: number[] = []
    let inside = 0
    await Promise.all(Array.from({ length: 20 }, (_, index) => locker.withLock('a', 10_000, async () => {
      assert.equal(++inside, 1)
      await tick()
      order.push(index)
      inside--
    })))
    assert.deepEqual(order, Array.from({ length: 20 }, (_, index) => index))
  })

  check('lets different uploads alone', async locker => {
    const [first, second] = [defer(), defer()]
    const holding = locker.withLock('a', 1000, () => first.promise)
    const other = locker.withLock('b', 1000, () => second.promise)
    second.resolve()
    await other
    first.resolve()
    await holding
  })

  check('tells the holder at once that somebody waits', async locker => {
    const entered = defer()
    const holding = locker.withLock('a', 1000, async wanted => {
      assert.equal(wanted.requested, false)
      entered.resolve()
      await once(wanted)
    })
    await entered.promise
    assert.equal(await locker.withLock('a', 10_000, async wanted => wanted.requested), false)
    await holding
  })

  check('tells the next holder that a third one waits already', async locker => {
    const release = defer()
    const first = locker.withLock('a', 1000, () => release.promise)
    const second = locker.withLock('a', 10_000, once)
    const third = locker.withLock('a', 10_000, async () => {})
    release.resolve()
    await Promise.all([first, second, third])
  })

  check('gives up after the time-out, without running the work', async locker => {
    const release = defer()
    const holding = locker.withLock('a', 1000, () => release.promise)
    let ran = false
    await assert.rejects(locker.withLock('a', 20, async () => { ran = true }), LockTimeout)
    release.resolve()
    await holding
    assert.equal(ran, false)
    assert.equal(await locker.withLock('a', 1000, async () => 'free'), 'free')
  })
}
