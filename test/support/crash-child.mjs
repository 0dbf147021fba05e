// A process that runs one operation of the filesystem storage and is killed at one of its steps.
//
//   node crash-child.mjs DIRECTORY STEP before|after OPERATION
//
// A step is a call that changes something in DIRECTORY: the STEP-th is the last. Prints the name of every step, and `done` if it ends by itself.
import childProcess from 'node:child_process'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { perform } from './crash-operations.mjs'

const [directory, last, when, operation] = process.argv.slice(2)
const CHANGES = ['open', 'write', 'writev', 'writeFile', 'fdatasync', 'fsync', 'rename', 'rm', 'ftruncate', 'truncate', 'close', 'mkdir', 'link', 'symlink', 'copyFile', 'appendFile']

// What the locks do is the same around every operation.
const LOCKS = /\/\.(?:locks|processes)(?:\/|$)/
const given = JSON.parse(operation)
const countingLocks = given.name === 'open' || given.name === 'lock'

let counting = false
let step = 0

/** Counts a call, and kills the process before it or after it. */
function around (name, args, call) {
  if (!counting || !touches(/symlink/.test(name) ? args[1] : args[0]) || isReading(name, args)) return call(() => {})
  const mine = ++step
  const die = at => { if (mine === Number(last) && at === when) process.kill(process.pid, 'SIGKILL') }
  fs.writeSync(1, `${mine} ${name}\n`)
  die('before')
  return call(() => die('after'))
}

function touches (target) {
  if (typeof target === 'number') return target > 2
  return String(target).startsWith(directory) && (countingLocks || !LOCKS.test(target))
}

function isReading (name, [, flags]) {
  return /^open/.test(name) && (flags === undefined || flags === 'r' || (typeof flags === 'number' && (flags & 3) === fs.constants.O_RDONLY))
}

for (const name of CHANGES) {
  const { [name]: later, [`${name}Sync`]: now } = fs
  const promised = fs.promises[name]
  fs[`${name}Sync`] = (...args) => around(`${name}Sync`, args, after => {
    const result = now(...args)
    after()
    return result
  })
  fs[name] = (...args) => around(name, args, after => {
    const callback = args.at(-1)
    return later(...args.slice(0, -1), (...results) => {
      after()
      callback(...results)
    })
  })
  if (!promised) continue
  fs.promises[name] = (...args) => around(`promises.${name}`, args, async after => {
    const result = await promised(...args)
    after()
    return result
  })
}

// The start of another process and its end are two steps.
const { spawn } = childProcess
childProcess.spawn = (...args) => around('spawn', [directory], after => {
  const child = spawn(...args)
  child.once('exit', () => around('exit', [directory], done => done()))
  after()
  return child
})
syncBuiltinESMExports()

const { createFsStorage } = await import('../../dist/adapters/fs/index.js')
// What is the same step by step is tried both ways: synchronously, and through the thread pool.
const storage = createFsStorage({ directory, journal: given.journal ?? false, metadataCalls: when === 'after' && given.name !== 'open' ? 'async' : 'adaptive', index: given.index === true })
counting = given.name === 'open'
await storage.open()
// Where a system has no commands, this process does their work itself.
if (given.commands === false) process.env.PATH = directory
counting = true
await perform(storage, given, () => createFsStorage({ directory }), directory)
counting = false
await storage.close()
fs.writeSync(1, 'done\n')
