import t from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import { createMemoryLocker, LockTimeout, type Storage } from '../../lib/index.js'
import { MOST_WAITING } from '../../lib/locker.js'
import { makeApp } from '../support/app.js'
import { createGate, createUpload, getPath, head, patch, post, sleep, terminate } from '../support/http-tus.js'

/** Longer than any test takes, in ms. */
const FOREVER = 3_600_000

t.test('a locker lets so many wait and no more, and those in turn', async t => {
  const locker = createMemoryLocker({ maxWaiting: 2 })
  const gate = createGate()
  const order: number[] = []
  // Longer than a test may take: who does not come in is refused at once, or never.
  const enter = (number: number) => locker.withLock('a', FOREVER, async () => {
    order.push(number)
    await gate.passed
  })
  const [holder, first, second] = [enter(0), enter(1), enter(2)]
  await t.rejects(enter(3), LockTimeout)
  await t.rejects(enter(4), LockTimeout)
  t.equal(await locker.withLock('b', FOREVER, async () => 'free'), 'free', 'another upload is not concerned')
  gate.open()
  await Promise.all([holder, first, second])
  t.strictSame(order, [0, 1, 2])
  await locker.withLock('a', FOREVER, async () => { order.push(5) })
  t.equal(order.at(-1), 5, 'and there is room again')
})

t.test('who gives up waiting makes room', async t => {
  const locker = createMemoryLocker({ maxWaiting: 1 })
  const gate = createGate()
  const holder = locker.withLock('a', FOREVER, () => gate.passed)
  await t.rejects(locker.withLock('a', 20, async () => {}), LockTimeout)
  const next = locker.withLock('a', FOREVER, async () => 'served')
  await t.rejects(locker.withLock('a', FOREVER, async () => {}), LockTimeout)
  gate.open()
  await holder
  t.equal(await next, 'served')
})

t.test('a bound that is none is an error', async t => {
  for (const maxWaiting of [0, -1, 1.5, NaN, Infinity, '2']) t.throws(() => createMemoryLocker({ maxWaiting: maxWaiting as number }), { name: 'TypeError', message: /'maxWaiting'/ })
})

t.test('of hundreds of requests for one upload that is held, a few wait and the others get 423 at once', async t => {
  const { app } = await makeApp(t, { lockTimeout: FOREVER })
  const gate = createGate()
  const begun = createGate()
  app.tus.addHook('preTerminate', async () => {
    begun.open()
    await gate.passed
    throw Object.assign(new Error('it stays'), { statusCode: 403 })
  })
  const url = await createUpload(app)
  const holder = terminate(app, url)
  await begun.passed

  const statuses: number[] = []
  const answered = createGate()
  const requests = Array.from({ length: 300 }, async () => {
    const { statusCode } = await head(app, url)
    if (statuses.push(statusCode) === 300 - MOST_WAITING) answered.open()
  })
  await answered.passed
  t.strictSame(new Set(statuses), new Set([423]), 'before the lock is free')
  for (const response of [await patch(app, url, 0, 'hello'), await terminate(app, url)]) {
    t.equal(response.statusCode, 423)
    t.match(response.json(), { code: 'TUS_ERR_LOCK_TIMEOUT' })
  }
  gate.open()
  t.equal((await holder).statusCode, 403)
  await Promise.all(requests)
  const served = statuses.slice(300 - MOST_WAITING)
  t.strictSame(served, Array.from({ length: MOST_WAITING }, () => 200), 'who waited is served')
})

t.test('of many final uploads that wait for one part, only a few are made at once, and all are', async t => {
  const memory = createMemoryStorage()
  let running = 0
  let most = 0
  const storage: Storage = {
    ...memory,
    async concatenate (id, parts) {
      most = Math.max(most, ++running)
      await sleep(5)
      running--
      return memory.concatenate!(id, parts)
    }
  }
  const { app } = await makeApp(t, { storage })
  const finished: string[] = []
  app.tus.addHook('preFinish', (_request, { metadata }) => { if (metadata.refuse !== undefined) throw Object.assign(new Error('no'), { statusCode: 403 }) })
  const done = createGate()
  app.tus.addHook('postFinish', (_request, { id }) => { if (finished.push(id) === 38) done.open() })
  const part = await createUpload(app, { 'upload-length': '5', 'upload-concat': 'partial' })
  const finals: string[] = []
  for (let count = 0; count < 40; count++) {
    finals.push(getPath(await post(app, { 'upload-concat': `final;${part}`, ...count < 2 && { 'upload-metadata': 'refuse' } })))
  }
  await patch(app, part, 0, 'hello')
  await done.passed
  t.strictSame(new Set(finished), new Set(finals.slice(2).map(url => url.slice('/files/'.length))), 'one that is refused keeps no other')
  t.ok(most >= 1 && most <= 4, `${most} at once`)
})
