import { once } from 'node:events'
import { promises, readdirSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { Files } from '../../adapters/fs/files.js'
import { createFsStorage } from '../../adapters/fs/index.js'
import { DirectoryLocker } from '../../adapters/fs/locks/directory-locker.js'
import { Registry } from '../../adapters/fs/locks/registry.js'
import { Requests } from '../../adapters/fs/locks/requests.js'
import { Pace } from '../../adapters/fs/pace.js'
import { LockTimeout } from '../../lib/locker.js'
import { makeDirectory } from '../support/app.js'
import { startProcess } from '../support/lock-process.js'

// A process that lives must never pass for one that has ended.

t.test('one that is out of descriptors, and so ends every connection, keeps what it holds', { skip: process.platform === 'win32' && 'there is no such limit' }, async t => {
  const directory = await makeDirectory(t)
  const child = await startProcess(t, directory, 64)
  child.tell('hold a')
  await child.hear('held a')
  child.tell('exhaust')
  await child.hear('exhausted')
  const storage = createFsStorage({ directory })
  t.teardown(() => storage.close?.())
  const opening = Promise.resolve(storage.open?.())
  await pause(300)
  child.tell('relax')
  await opening
  t.equal(readdirSync(join(directory, '.processes')).length, 2, 'both are registered')
  await t.rejects(storage.locker!.withLock('a', 50, async () => t.fail('ran')), LockTimeout)
})

t.test('one that starts while another tidies up keeps what it holds', async t => {
  const directory = await makeDirectory(t)
  const open = () => DirectoryLocker.open(directory, new Files('none', new Pace(2), new Pace(1)))
  const first = await open()
  t.teardown(() => first.close())
  let second: DirectoryLocker | null = null
  const leave = new AbortController()
  let holding: Promise<unknown> = Promise.resolve()
  const { readdir } = promises
  t.intercept(promises, 'readdir', {
    value: async (path: string) => {
      if (second === null) {
        second = await open()
        const held = new Promise<void>(resolve => {
          holding = second!.withLock('a', 60_000, async () => {
            resolve()
            await once(leave.signal, 'abort')
          })
        })
        await held
      }
      return readdir(path)
    }
  })
  await first.tidy(new Date())
  t.not(second, null)
  t.equal(readdirSync(join(directory, '.processes')).length, 2, 'both are registered')
  await t.rejects(first.withLock('a', 50, async () => t.fail('ran')), LockTimeout)
  leave.abort()
  await holding
  await second!.close()
})

t.test('ends the connections that come while it closes', async t => {
  const directory = await makeDirectory(t)
  const connections: Socket[] = []
  const registry = new Registry(directory, true, socket => { connections.push(socket) })
  const other = new Registry(directory, true, () => {})
  await registry.open()
  const closing = registry.close(() => { for (const socket of connections) socket.destroy() })
  const socket = await other.connect(registry.name)
  await closing
  socket?.destroy()
})

t.test('one that has given up is told all the same that an upload was passed to it', async t => {
  const path = join(await makeDirectory(t), 's')
  const requests = new Requests({ hello () {}, want: (_id, _name, signal) => once(signal, 'abort').then(() => {}) })
  const server = createServer(socket => requests.serve(socket)).listen(path)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const socket = createConnection(path)
  t.teardown(() => socket.destroy())
  socket.write('want a me\ndrop a \n')
  const [answer] = await once(socket.setEncoding('latin1'), 'data')
  t.match(answer, /^look a /)
})
