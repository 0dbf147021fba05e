import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { makeDirectory } from '../support/app.js'

// The power fails behind every sync, and takes with it whatever was not synced: of a process with a journal, and again of the one that recovers.

/** A directory in memory, where there is one: what happens to its disk is not the disk's doing. */
async function makeMemory (t: Test): Promise<string> {
  if (!existsSync('/dev/shm')) return makeDirectory(t)
  const directory = await mkdtemp('/dev/shm/fastify-tus-')
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

const CHILD = fileURLToPath(new URL('../support/power-child.mjs', import.meta.url))
const { NODE_OPTIONS, ...env } = process.env

for (const [scenario, title] of Object.entries({
  plain: 'keeps what was acknowledged of small and large bodies, in turn',
  batches: 'keeps what was acknowledged together',
  removal: 'brings nothing back that was removed, and keeps the next upload of that id',
  removalAgain: 'brings nothing back whose removal could not be noted at first',
  removalSettled: 'brings nothing back by a log that has ended',
  saved: 'keeps the bytes that an application has given another name',
  removalFails: 'keeps what was acknowledged behind a removal that failed',
  logFails: 'keeps what was acknowledged behind a log that could not be synced',
  everythingFails: 'keeps the bytes that came in place of those that could not be synced',
  cutFails: 'acknowledges nothing while a log can not be cut',
  full: 'acknowledges nothing that had no room',
  syncFails: 'writes again what a failed sync of the file system has lost',
  twoProcesses: 'keeps what another process acknowledged that has no journal, and brings nothing back that it removed'
})) {
  t.test(title, { skip: process.platform === 'linux' ? false : 'the journal is for Linux' }, async t => {
    const { stdout } = await promisify(execFile)(process.execPath, [CHILD, await makeMemory(t), scenario], { env })
    const { states, again, logged, problems } = JSON.parse(stdout)
    t.same(problems, [])
    t.ok(logged > 5 && again > 2, `${states} states, ${logged} of them with a log, and ${again} of another failure`)
  })
}
