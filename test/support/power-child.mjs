// A process that works with a journal on a disk whose every state after a power failure is known: what was not synced is lost, and names come and
// go with a sync of their folder. Then looks what is left of each state.
//
//   node power-child.mjs ROOT SCENARIO
//
// Prints how many states there were, and what was wrong with them, as JSON.
import childProcess from 'node:child_process'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Disk } from './power-disk.mjs'
import { scenarios } from './power-scenarios.mjs'

const [root, name] = process.argv.slice(2)
const work = join(root, 'work')
fs.mkdirSync(work)
let disk = new Disk(work)
/** What a scenario makes fail: takes the name of a call and a path, and returns the code of an error or null. */
let fault = () => null

function getPath (fd) {
  try {
    return fs.readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return ''
  }
}

for (const name of ['fsync', 'fdatasync', 'writev', 'ftruncate']) {
  const { [name]: later, [`${name}Sync`]: now } = fs
  const begin = fd => {
    const path = getPath(fd)
    const code = fault(name, path)
    if (code !== null) throw Object.assign(new Error(code), { code })
    if (name.endsWith('sync')) disk.sync(fd, path)
  }
  fs[`${name}Sync`] = (fd, ...rest) => {
    begin(fd)
    return now(fd, ...rest)
  }
  fs[name] = (fd, ...rest) => {
    try {
      begin(fd)
    } catch (error) {
      return setImmediate(() => rest.at(-1)(error))
    }
    return later(fd, ...rest)
  }
}

const { rm, rmSync } = fs
const beginRemoval = path => {
  const code = fault('rm', path)
  if (code !== null) throw Object.assign(new Error(code), { code })
}
fs.rmSync = (path, ...rest) => {
  beginRemoval(path)
  return rmSync(path, ...rest)
}
fs.promises.rm = async (path, ...rest) => {
  beginRemoval(path)
  return promisify(rm)(path, ...rest)
}

const handle = await fs.promises.open(root, 'r')
const prototype = Object.getPrototypeOf(handle)
const { sync } = prototype
prototype.sync = async function () {
  disk.sync(this.fd, getPath(this.fd))
  return sync.call(this)
}
await handle.close()

// What syncs the file system is known to do that: see the tests of the contract. Here it need not do it to the machine that runs the tests.
const { spawn } = childProcess
childProcess.spawn = (program, args, options) => {
  if (program !== 'sync') return spawn(program, args, options)
  const failing = fault('sync', '') !== null
  const concerned = getPath(options.stdio[3]).startsWith(disk.root)
  if (concerned && failing) disk.loseAll()
  if (concerned && !failing) disk.syncAll()
  return spawn(failing ? 'false' : 'true', [], options)
}
syncBuiltinESMExports()

const { createFsStorage } = await import('../../dist/adapters/fs/index.js')
const facts = []
/** Remembers what was told to a client. */
const tell = fact => { facts.push({ ...fact, at: disk.states.length }) }
const open = (options = {}) => createFsStorage({ directory: work, locks: 'process', journal: { interval: 600_000 }, ...options })
await scenarios[name]({ open, tell, setFault: wanted => { fault = wanted }, work })
fault = () => null

const problems = []
disk.note()
const states = [...disk.states]
for (const [index, state] of states.entries()) await look(index, state)
// Power fails again, while what it left is recovered.
const last = states.findLastIndex(state => state.hasLog)
const again = await recoverSlowly(states[last])
for (const state of again) await look(last, state)
fs.writeSync(1, JSON.stringify({ states: states.length, again: again.length, logged: states.filter(state => state.hasLog).length, problems }))
process.exit(0)

/** The states of the disk meanwhile. */
async function recoverSlowly (state) {
  const directory = join(root, 'again')
  state.write(directory)
  disk = new Disk(directory)
  disk.syncAll()
  const storage = createFsStorage({ directory, locks: 'process', journal: true })
  await storage.open()
  await storage.close()
  return disk.states
}

async function look (index, state) {
  const directory = join(root, `state-${index}`)
  state.write(directory)
  const storage = createFsStorage({ directory, locks: 'process', journal: index % 2 === 0 })
  try {
    await storage.open()
    const told = new Map()
    for (const fact of facts) if (fact.at <= index + 1) told.set(fact.id, fact)
    for (const fact of told.values()) {
      const wrong = await judge(storage, directory, fact)
      if (wrong !== null) problems.push(`state ${index}: ${fact.id}: ${wrong}`)
    }
    const logs = fs.existsSync(join(directory, '.journal')) ? fs.readdirSync(join(directory, '.journal')).filter(name => name.endsWith('.log')) : []
    if (logs.length > 0) problems.push(`state ${index}: ${logs.length} logs are left`)
  } catch (error) {
    problems.push(`state ${index}: ${error.stack}`)
  } finally {
    await storage.close()
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

/** What is acknowledged is durable at once: in the state that was noted last before. */
async function judge (storage, directory, { id, content, removing, saved }) {
  if (saved) return fs.readFileSync(join(directory, id)).equals(content) ? null : 'other bytes'
  const found = await storage.find(id)
  if (removing) return found !== null && removing === 'done' ? 'it came back' : null
  if (found === null) return 'it is lost'
  const bytes = fs.readFileSync(join(directory, id))
  if (bytes.length < content.length) return `${bytes.length} of ${content.length} bytes are left`
  if (!bytes.subarray(0, content.length).equals(content)) return 'other bytes'
  return found.offset < content.length ? `the offset is ${found.offset}` : null
}
