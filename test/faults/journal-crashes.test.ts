import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import type { Storage } from '../../lib/storage.js'
import { runMatrix } from '../support/crash-matrix.js'
import { makeContent, perform } from '../support/crash-operations.mjs'
import { makeUpload as makeAnyUpload } from '../support/uploads.js'

// A real process with a journal is killed at every step, and the next one goes on.

// Each of many processes syncs the whole file system: that of the memory is synced at once.
if (existsSync('/dev/shm')) process.env.TMPDIR = '/dev/shm'
const skip = process.platform === 'linux' ? false : 'the journal is for Linux'
const SIZE = 100_000
const SMALL = 1000
const upload = makeAnyUpload({ id: 'a', length: SIZE })

/** Every byte that counts is the right one. */
async function checkContent (storage: Storage, directory: string): Promise<number> {
  const found = await storage.find('a')
  if (found === null) return 0
  const bytes = await readFile(join(directory, 'a'))
  assert.ok(bytes.equals(makeContent(found.offset)), `the ${found.offset} bytes are the right ones`)
  return found.offset
}

async function checkEmpty (directory: string): Promise<void> {
  assert.deepEqual(await readdir(join(directory, '.journal')), ['removed'])
  assert.deepEqual(await readdir(join(directory, '.journal/removed')), [])
}

t.test('a process that writes a journal and settles it', { skip }, t => runMatrix(t, {
  prepare: async () => {},
  operation: { name: 'settle', upload, journal: true },
  check: async (storage, directory) => { await checkContent(storage, directory) },
  retry: async (storage, directory) => {
    if (await storage.find('a') === null) await storage.create(upload)
    await perform(storage, { name: 'append', id: 'a', offset: await checkContent(storage, directory), end: SIZE, size: SIZE, keep: 'prefix' })
  },
  async checkEnd (storage, directory) {
    assert.equal(await checkContent(storage, directory), SIZE)
    await checkEmpty(directory)
  }
}))

t.test('a process that recovers what a failure of the machine has taken', { skip }, t => runMatrix(t, {
  reads: true,
  async prepare (_storage, directory) {
    const other = await mkdtemp(`${directory}-`)
    const storage = createFsStorage({ directory: other, journal: true })
    await storage.create(upload)
    await perform(storage, { name: 'append', id: 'a', offset: 0, end: SMALL, size: SMALL, keep: 'prefix' })
    await mkdir(join(directory, '.journal'), { recursive: true })
    await cp(join(other, '.journal'), join(directory, '.journal'), { recursive: true })
    await storage.close?.()
    await rm(other, { recursive: true })
  },
  operation: { name: 'open', journal: true },
  check: async (storage, directory) => { assert.equal(await checkContent(storage, directory), SMALL) },
  async checkEnd (storage, directory) {
    assert.equal(await checkContent(storage, directory), SMALL)
    await checkEmpty(directory)
  }
}))
