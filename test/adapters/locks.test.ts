import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { judge } from '../../adapters/fs/locks/file-systems.js'
import { Registry } from '../../adapters/fs/locks/registry.js'
import { runLockerContract } from '../../lib/contract.js'
import { LockTimeout, LocksUnsupported, type Locker } from '../../lib/locker.js'
import { makeDirectory } from '../support/app.js'
import { startProcess } from '../support/lock-process.js'
import { createRandom } from '../support/proxy-random.js'
import { spawnNode } from '../support/server-process.js'
import { sleep } from '../support/waiting.js'

/** Longer than anybody has to wait where all is well, in ms. */
const PATIENT = 60_000

/** A second storage is to its directory what another process is. */
async function openLocker (t: Test, directory: string): Promise<Locker> {
  const storage = createFsStorage({ directory })
  await storage.open?.()
  t.teardown(() => storage.close?.())
  return storage.locker!
}

t.test('a process that is alone on its directory', async t => {
  runLockerContract({ test: (name, run) => t.test(name, run), createLocker: async () => openLocker(t, await makeDirectory(t)) })
})

t.test('a process that is not', async t => {
  const createLocker = async () => {
    const directory = await makeDirectory(t)
    await openLocker(t, directory)
    return openLocker(t, directory)
  }
  runLockerContract({ test: (name, run) => t.test(name, run), createLocker })
})

t.test('lets one in at a time among many processes', async t => {
  const directory = await makeDirectory(t)
  const lockers = await Promise.all([1, 2, 3, 4].map(() => openLocker(t, directory)))
  const random = createRandom(1)
  const inside = new Map<string, number>()
  let most = 0
  let runs = 0
  const work = async (locker: Locker, id: string) => locker.withLock(id, PATIENT, async () => {
    inside.set(id, (inside.get(id) ?? 0) + 1)
    most = Math.max(most, inside.get(id)!)
    runs++
    if (random.next() < 0.5) await sleep(random.between(0, 3))
    inside.set(id, inside.get(id)! - 1)
  })
  const turns = lockers.flatMap(locker => ['a', 'b', 'c'].flatMap(id => Array.from({ length: 5 }, async () => {
    for (let turn = 0; turn < 12; turn++) {
      await work(locker, id)
      await sleep(random.between(0, 4))
    }
  })))
  await Promise.all(turns)
  t.equal(most, 1)
  t.equal(runs, 4 * 3 * 5 * 12)
  t.strictSame(await readdir(join(directory, '.locks')), [], 'no link is left')
})

t.test('asks the holder in another process to leave', async t => {
  const directory = await makeDirectory(t)
  const [first, second] = [await openLocker(t, directory), await openLocker(t, directory)]
  const events: string[] = []
  const holding = first.withLock('a', PATIENT, async wanted => {
    events.push('first holds')
    await new Promise<void>(resolve => { wanted.onRequest(resolve) })
    events.push('first leaves')
  })
  await second.withLock('a', PATIENT, async () => { events.push('second holds') })
  await holding
  t.strictSame(events, ['first holds', 'first leaves', 'second holds'])
})

t.test('takes turns: nobody in the process that holds comes before one from another process that asked earlier', async t => {
  const directory = await makeDirectory(t)
  const [first, second] = [await openLocker(t, directory), await openLocker(t, directory)]
  const order: string[] = []
  const leave = defer()
  const asked = defer()
  const holding = first.withLock('a', PATIENT, wanted => {
    wanted.onRequest(asked.resolve)
    return leave.promise
  })
  const other = second.withLock('a', PATIENT, async () => { order.push('second') })
  await asked.promise
  const late = first.withLock('a', PATIENT, async () => { order.push('first') })
  leave.resolve()
  await Promise.all([holding, other, late])
  t.strictSame(order, ['second', 'first'])
})

t.test('gives up after the time-out, and is not in the way later', async t => {
  const directory = await makeDirectory(t)
  const [first, second] = [await openLocker(t, directory), await openLocker(t, directory)]
  const leave = defer()
  const holding = first.withLock('a', PATIENT, () => leave.promise)
  await t.rejects(second.withLock('a', 30, async () => t.fail('ran')), LockTimeout)
  leave.resolve()
  await holding
  t.equal(await first.withLock('a', PATIENT, async () => 'first'), 'first')
  t.equal(await second.withLock('a', PATIENT, async () => 'second'), 'second')
  t.strictSame(await readdir(join(directory, '.locks')), [])
})

t.test('a process that comes later respects what the first one holds already', async t => {
  const directory = await makeDirectory(t)
  const first = await openLocker(t, directory)
  const leave = defer()
  const holding = first.withLock('a', PATIENT, () => leave.promise)
  t.strictSame(await readdir(join(directory, '.locks')), [], 'who is alone makes no links')
  const second = await openLocker(t, directory)
  t.strictSame(await readdir(join(directory, '.locks')), ['a'])
  await t.rejects(second.withLock('a', 30, async () => t.fail('ran')), LockTimeout)
  leave.resolve()
  await holding
  t.equal(await second.withLock('a', PATIENT, async () => 'free'), 'free')
})

t.test('an upload is free as soon as the process that held it is dead', async t => {
  const directory = await makeDirectory(t)
  const locker = await openLocker(t, directory)
  const times: number[] = []
  for (let round = 0; round < 5; round++) {
    const child = await startProcess(t, directory)
    child.tell('hold a')
    await child.hear('held a')
    child.tell('hold b')
    await child.hear('held b')
    const waiting = locker.withLock('a', PATIENT, async () => performance.now())
    await child.hear('wanted a')
    const start = performance.now()
    child.kill()
    times.push(await waiting - start)
    t.ok(await locker.withLock('b', PATIENT, async () => true), 'and so are the others that it held')
  }
  t.comment(`taken over ${times.map(time => time.toFixed(1)).join(', ')} ms after the kill`)
  t.strictSame(await readdir(join(directory, '.locks')), [])
  t.equal((await readdir(join(directory, '.processes'))).length, 1, 'only the living are registered')
})

t.test('several who find the same dead process do not get in each other\'s way', async t => {
  const directory = await makeDirectory(t)
  const lockers = await Promise.all([1, 2, 3, 4, 5].map(() => openLocker(t, directory)))
  for (let round = 0; round < 5; round++) {
    const child = await startProcess(t, directory)
    for (const id of ['a', 'b', 'c']) {
      child.tell(`hold ${id}`)
      await child.hear(`held ${id}`)
    }
    child.kill()
    await child.ended
    let inside = 0
    await Promise.all(lockers.flatMap(locker => ['a', 'b', 'c'].map(id => locker.withLock(id, PATIENT, async () => {
      if (id !== 'a') return
      t.equal(++inside, 1)
      await sleep(1)
      inside--
    }))))
  }
  t.equal((await readdir(join(directory, '.processes'))).length, 5)
})

t.test('clears away what a process left that is not registered any more', async t => {
  const directory = await makeDirectory(t)
  const [first] = [await openLocker(t, directory), await openLocker(t, directory)]
  const { name } = new Registry(directory, true, () => {})
  await symlink(`${name.split('-')[0]}-1-000000000000`, join(directory, '.locks', 'a'))
  t.equal(await first.withLock('a', PATIENT, async () => 'free'), 'free')
})

t.test('goes on where the one that buried a dead process died itself', async t => {
  const directory = await makeDirectory(t)
  const machine = new Registry(directory, true, () => {}).name.split('-')[0]
  const [dead, digger] = [`${machine}-1-000000000000`, `${machine}-2-000000000000`]
  await openLocker(t, directory)
  await writeFile(join(directory, '.processes', `${dead}+${digger}`), '')
  await symlink(dead, join(directory, '.locks', 'a'))
  const locker = await openLocker(t, directory)
  t.strictSame(await readdir(join(directory, '.locks')), [], 'at its start')
  t.equal(await locker.withLock('a', PATIENT, async () => 'free'), 'free')
})

t.test('works where the path of the directory is longer than an address may be', { skip: process.platform === 'linux' ? false : 'only Linux has a shorter way' }, async t => {
  const directory = join(await makeDirectory(t), 'd'.repeat(200))
  const [first, second] = [await openLocker(t, directory), await openLocker(t, directory)]
  const leave = defer()
  const holding = first.withLock('a', PATIENT, () => leave.promise)
  await t.rejects(second.withLock('a', 30, async () => t.fail('ran')), LockTimeout)
  leave.resolve()
  await holding
})

t.test('a process of another machine', async t => {
  const directory = await makeDirectory(t)
  await writeFile(join(directory, 'ffffffff-1-000000000000'), '')
  const connect = (strangersAreDead: boolean) => new Registry(directory, strangersAreDead, () => {}).connect('ffffffff-1-000000000000')
  t.equal(await connect(true), null, 'has ended, where the disk is this machine\'s own')
  await t.rejects(connect(false), { name: 'LocksUnsupported', code: 'TUS_ERR_LOCKS_UNSUPPORTED', message: /another machine/ })
})

t.test('file systems', async t => {
  t.throws(() => judge(0x6969), LocksUnsupported, 'NFS')
  t.throws(() => judge(0xff534d42 | 0), /CIFS.*`locks: 'process'`/, 'a number that Node gives with a sign')
  t.equal(judge(0xef53), true, 'ext4 is local')
  t.equal(judge(0x65735546), false, 'of FUSE nobody knows')
})

t.test('a directory that can\'t hold sockets is refused at the start', async t => {
  const directory = await makeDirectory(t)
  const registry = new Registry(join(directory, 'missing'), true, () => {})
  await t.rejects(registry.open(), { code: 'TUS_ERR_LOCKS_UNSUPPORTED' })
})

t.test('a directory that is removed and made anew is one for all its processes', async t => {
  const directory = await makeDirectory(t)
  const [first, second] = [await openLocker(t, directory), await openLocker(t, directory)]
  await rm(directory, { recursive: true })
  await t.rejects(first.withLock('a', PATIENT, async () => t.fail('ran')), { name: 'StorageUnavailable' })
  await mkdir(directory)
  const third = await openLocker(t, directory)
  const leave = defer()
  const holding = third.withLock('a', PATIENT, () => leave.promise)
  await t.rejects(first.withLock('a', 50, async () => t.fail('ran')), LockTimeout)
  await t.rejects(second.withLock('a', 50, async () => t.fail('ran')), LockTimeout)
  leave.resolve()
  await holding
  t.equal((await readdir(join(directory, '.processes'))).length, 3)
  for (const locker of [first, second, third]) t.equal(await locker.withLock('a', PATIENT, async () => 'free'), 'free')
})

t.test('a process that ends while another one connects to it has ended', { skip: process.platform !== 'linux' }, async t => {
  const directory = await makeDirectory(t)
  const registry = new Registry(directory, true, () => {})
  const child = spawnNode(['-e', `require('node:net').createServer().listen(${JSON.stringify(join(directory, 'ending'))}, () => console.log('listens'))`])
  await once(child.stdout!, 'data')
  // It accepts no more, but the system connects on its behalf.
  process.kill(child.pid!, 'SIGSTOP')
  const connecting = registry.connect('ending')
  process.kill(child.pid!, 'SIGKILL')
  // Nothing of this process runs before the other one is gone. Its sockets are closed when the last of its threads has
  // ended, and the main thread may be a zombie before that.
  while (!isGone(child.pid!)) execFileSync('sleep', ['0.01'])
  t.equal(await connecting, null)
})

t.test('with `locks: process` there are no links and no sockets', async t => {
  const directory = await makeDirectory(t)
  const storage = createFsStorage({ directory, locks: 'process' })
  await storage.open?.()
  t.equal(await storage.locker?.withLock('a', PATIENT, async () => 'free'), 'free')
  t.strictSame(await readdir(directory), [])
  t.throws(() => createFsStorage({ directory, locks: 'none' as 'process' }), { message: /'locks' must be 'directory' or 'process'/ })
})

/** Whether no thread of it is left, waited for or not. */
function isGone (pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return /^\d+ \(.*\) [ZX]/.test(stat) && readdirSync(`/proc/${pid}/task`).length === 1
  } catch {
    return true
  }
}

function defer (): { promise: Promise<void>, resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>(_resolve => { resolve = _resolve })
  return { promise, resolve }
}
