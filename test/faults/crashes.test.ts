import assert from 'node:assert/strict'
import { appendFile, readFile, readdir, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Storage } from '../../lib/storage.js'
import type { NewUpload, Upload } from '../../lib/upload.js'
import { listNames } from '../support/app.js'
import { runMatrix, type Scenario } from '../support/crash-matrix.js'
import { makeContent, perform } from '../support/crash-operations.mjs'
import { makeUpload as makeAnyUpload } from '../support/uploads.js'

// A real process is killed at every step of every operation of the filesystem storage, and the next one goes on.

const MIB = 1024 * 1024
const SMALL = 1003
const ANSWERED = { target: 'POST /x []', digests: {}, answer: { status: 200, headers: {}, body: 'eA==' } }
const LARGE = 4 * MIB + 3

const makeUpload = (given: Partial<NewUpload> = {}): NewUpload => makeAnyUpload({ id: 'a', length: LARGE, metadata: { filename: 'x' }, ...given })

/** An upload with its first bytes. */
async function createFilled (storage: Storage, end: number, given: Partial<NewUpload> = {}): Promise<void> {
  const upload = makeUpload(given)
  await storage.create(upload)
  await perform(storage, { name: 'append', id: upload.id, offset: 0, end, size: MIB, keep: 'prefix' })
}

async function mustFind (storage: Storage, id: string): Promise<Upload> {
  const upload = await storage.find(id)
  assert.ok(upload, `${id} is there`)
  return upload
}

/** The bytes that count are the right ones, in the words of `read` and in the file. */
async function checkContent (storage: Storage, directory: string, id: string, content?: Buffer): Promise<number> {
  const { offset } = await mustFind(storage, id)
  const bytes = (await readFile(join(directory, id))).subarray(0, offset)
  assert.equal(bytes.length, offset)
  assert.ok(bytes.equals((content ?? makeContent(offset)).subarray(0, offset)), `the ${offset} bytes of ${id} are the right ones`)
  return offset
}

/** Nothing is left that belongs to no upload, now that it is old enough; and nothing at all, once the uploads are removed. */
async function checkRemains (storage: Storage, directory: string, ...ids: string[]): Promise<void> {
  await storage.tidy!(new Date(Date.now() + 60_000))
  const names = (await listNames(directory)).filter(name => !name.endsWith('.waiting'))
  assert.deepEqual(names.sort(), ids.flatMap(id => [id, `${id}.json`]).sort())
  for (const id of ids) await storage.remove(id)
  assert.deepEqual(await listNames(directory), [])
}

/** An upload at byte 3 that is appended to until `end`. */
function appending (keep: 'prefix' | 'all-or-nothing', end: number, size: number): Scenario {
  const allowed = (offset: number) => keep === 'prefix' ? offset >= 3 && offset <= end : offset === 3 || offset === end
  return {
    prepare: storage => createFilled(storage, 3, { length: end }),
    operation: { name: 'append', id: 'a', offset: 3, end, size, keep },
    async check (storage, directory) {
      const offset = await checkContent(storage, directory, 'a')
      assert.ok(allowed(offset), `it is at byte ${offset}`)
    },
    async retry (storage) {
      const { offset } = await mustFind(storage, 'a')
      if (offset < end) await perform(storage, { name: 'append', id: 'a', offset, end, size, keep })
    },
    async checkEnd (storage, directory) {
      assert.equal(await checkContent(storage, directory, 'a'), end)
      assert.equal((await stat(join(directory, 'a'))).size, end)
      assert.equal((await mustFind(storage, 'a')).complete, true)
      await checkRemains(storage, directory, 'a')
    }
  }
}

/** An upload whose record is changed from one state to another. */
function changing (operation: Scenario['operation'], given: Partial<NewUpload>, look: (upload: Upload) => unknown, states: readonly [unknown, unknown]): Scenario {
  const check: Scenario['check'] = async (storage, directory) => {
    const upload = await mustFind(storage, 'a')
    assert.ok(states.includes(look(upload)), String(look(upload)))
    assert.equal(await checkContent(storage, directory, 'a'), SMALL)
    assert.deepEqual(upload.metadata, { filename: 'x' })
  }
  return {
    prepare: storage => createFilled(storage, SMALL, { length: SMALL, ...given }),
    operation: { id: 'a', ...operation },
    check,
    async checkEnd (storage, directory) {
      await check(storage, directory)
      assert.equal(look(await mustFind(storage, 'a')), states[1])
      await checkRemains(storage, directory, 'a')
    }
  }
}

/** A final upload of three parts, one of them twice. */
function concatenating (how: { commands?: boolean }): Scenario {
  return {
    async prepare (storage) {
      await createFilled(storage, SMALL, { id: 'p1', length: SMALL, partial: true })
      await createFilled(storage, LARGE, { id: 'p2', length: LARGE, partial: true })
      await storage.create(makeUpload({ id: 'a', length: 2 * SMALL + LARGE, final: true, parts: ['p1', 'p2', 'p1'] }))
    },
    operation: { name: 'concatenate', id: 'a', parts: ['p1', 'p2', 'p1'], ...how },
    async check (storage, directory) {
      const offset = await checkContent(storage, directory, 'a', makeFinal())
      assert.ok(offset === 0 || offset === makeFinal().length, `it is at byte ${offset}`)
      assert.equal(await checkContent(storage, directory, 'p1'), SMALL)
      assert.equal(await checkContent(storage, directory, 'p2'), LARGE)
    },
    async checkEnd (storage, directory) {
      assert.equal(await checkContent(storage, directory, 'a', makeFinal()), makeFinal().length)
      assert.equal((await mustFind(storage, 'a')).complete, true)
      assert.equal(await checkContent(storage, directory, 'p2'), LARGE)
      await checkRemains(storage, directory, 'a', 'p1', 'p2')
    }
  }
}

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'opening the storage': {
    prepare: storage => createFilled(storage, SMALL),
    operation: { name: 'open' },
    check: async (storage, directory) => { assert.equal(await checkContent(storage, directory, 'a'), SMALL) },
    checkEnd: (storage, directory) => checkRemains(storage, directory, 'a')
  },

  'create: the upload is there, or its id is free': {
    prepare: async () => {},
    operation: { name: 'create', upload: makeUpload() },
    async check (storage) {
      const found = await storage.find('a')
      if (found) assert.deepEqual([found.offset, found.length, found.metadata.filename], [0, LARGE, 'x'])
    },
    async retry (storage, directory, step) {
      if (await storage.find('a')) return
      if (step % 2 === 0) await storage.tidy!(new Date(Date.now() + 60_000))
      // An empty file could be anybody's, and makes room.
      const left = step % 2 === 0 ? await listNames(directory) : []
      for (const name of left) assert.equal((await stat(join(directory, name))).size, 0, `${name} holds nothing`)
      await storage.create(makeUpload())
    },
    async checkEnd (storage, directory) {
      assert.equal((await mustFind(storage, 'a')).offset, 0)
      await checkRemains(storage, directory, 'a')
    }
  },

  'append: what was acknowledged is there, what counts is right': appending('prefix', SMALL, SMALL),
  'append of several batches: the same': appending('prefix', LARGE, 2 * MIB),
  'CS-11: a checksummed append of one batch counts whole or not at all': appending('all-or-nothing', SMALL, SMALL),
  'CS-11: a checksummed append of small pieces counts whole or not at all': appending('all-or-nothing', SMALL, 600),
  'CS-11: a checksummed append of more than 2 MiB counts whole or not at all': appending('all-or-nothing', LARGE, 2 * MIB),

  'CS-6: of a checksummed append that fails nothing ever counts': {
    prepare: storage => createFilled(storage, 3, { length: LARGE }),
    operation: { name: 'append', id: 'a', offset: 3, end: LARGE, size: 2 * MIB, keep: 'all-or-nothing', wrong: true },
    check: async (storage, directory) => { assert.equal(await checkContent(storage, directory, 'a'), 3) },
    retry: async () => {},
    async checkEnd (storage, directory) {
      assert.equal(await checkContent(storage, directory, 'a'), 3)
      await perform(storage, { name: 'append', id: 'a', offset: 3, end: SMALL, size: SMALL, keep: 'prefix' })
      assert.equal(await checkContent(storage, directory, 'a'), SMALL)
      assert.equal((await stat(join(directory, 'a'))).size, SMALL)
      await checkRemains(storage, directory, 'a')
    }
  },

  'CS-11: an append behind bytes that a crash left unverified cuts them off first': {
    ...appending('prefix', SMALL, 600),
    async prepare (storage, directory) {
      await createFilled(storage, 3, { length: SMALL })
      await leaveUnverified(directory)
    }
  },

  'CS-11: a length that is set in front of unverified bytes cuts them off first': {
    async prepare (storage, directory) {
      await createFilled(storage, 3, { length: null })
      await leaveUnverified(directory)
    },
    operation: { name: 'setLength', id: 'a', length: 3 },
    async check (storage, directory) {
      const { complete } = await mustFind(storage, 'a')
      assert.equal(await checkContent(storage, directory, 'a'), 3)
      if (complete) assert.equal((await stat(join(directory, 'a'))).size, 3)
    },
    async checkEnd (storage, directory) {
      assert.equal((await mustFind(storage, 'a')).complete, true)
      assert.equal((await stat(join(directory, 'a'))).size, 3)
      await checkRemains(storage, directory, 'a')
    }
  },

  'setLength: the length is set or not': changing({ name: 'setLength', length: LARGE }, { length: null }, ({ length }) => length, [null, LARGE]),
  'complete: the mark is there or not': changing({ name: 'complete' }, { completes: 'by-mark' }, ({ complete }) => complete, [false, true]),
  'update: the finish mark is there or not': changing({ name: 'update', change: { finished: true } }, { completes: 'by-mark' }, ({ finished }) => finished, [false, true]),

  'update: somebody has said that this is all, or not': changing({ name: 'update', change: { completes: 'by-mark' } }, { completes: 'when-told' }, ({ completes }) => completes, ['when-told', 'by-mark']),
  'update: with that the upload is complete, or not': changing({ name: 'update', change: { completes: 'at-length' } }, { completes: 'when-told' }, ({ complete }) => complete, [false, true]),
  'update: an answer is kept or not': changing({ name: 'update', change: { purpose: ANSWERED } }, { purpose: { ...ANSWERED, answer: null } }, ({ purpose }) => purpose?.answer?.status ?? null, [null, 200]),

  'CC-5: concatenate: the final upload is whole or empty, and its parts stay': concatenating({}),
  'CC-5: concatenate without a command of the system: the same': concatenating({ commands: false }),

  'CF-1: addWaiting: the note is there or not, and both uploads stay': {
    async prepare (storage) {
      await createFilled(storage, 3, { id: 'p', length: SMALL, partial: true })
      await storage.create(makeUpload({ id: 'a', length: SMALL, final: true, parts: ['p'] }))
    },
    operation: { name: 'addWaiting', id: 'p', final: 'a' },
    async check (storage, directory) {
      assert.ok([0, 1].includes((await storage.findWaiting!('p')).length))
      assert.equal(await checkContent(storage, directory, 'p'), 3)
    },
    async checkEnd (storage, directory) {
      assert.deepEqual(await storage.findWaiting!('p'), ['a'])
      assert.equal((await mustFind(storage, 'a')).offset, 0)
      await checkRemains(storage, directory, 'a', 'p')
    }
  },

  'claim: a worker that is killed leaves a lease that runs out, and the next one does the work': {
    prepare: storage => createFilled(storage, SMALL, { length: SMALL }),
    operation: { name: 'work', id: 'a' },
    check: async (storage, directory) => { assert.equal(await checkContent(storage, directory, 'a'), SMALL) },
    async retry (storage, directory) {
      const path = join(directory, 'a.claim')
      const held = (await listNames(directory)).includes('a.claim')
      assert.equal(await storage.claim!('a', 60_000).then(async lease => { await lease?.release(); return lease === null }), held)
      const past = new Date(Date.now() - 120_000)
      if (held) await utimes(path, past, past)
      await perform(storage, { name: 'work', id: 'a' })
    },
    async checkEnd (storage, directory) {
      assert.equal((await mustFind(storage, 'a')).processed, true)
      assert.equal(await checkContent(storage, directory, 'a'), SMALL)
      await checkRemains(storage, directory, 'a')
    }
  },

  'EX-5: sweep: what expired is there or gone, what is complete stays and is finished in the end': {
    async prepare (storage, directory) {
      await createFilled(storage, SMALL, { id: 'a', length: SMALL, completes: 'by-mark' })
      await createFilled(storage, 3, { id: 'b', length: SMALL })
      const past = new Date(Date.now() - 60_000)
      await utimes(join(directory, 'b'), past, past)
    },
    operation: { name: 'sweep' },
    reads: true,
    async check (storage, directory) {
      assert.equal(await checkContent(storage, directory, 'a'), SMALL)
      if (await storage.find('b')) assert.equal(await checkContent(storage, directory, 'b'), 3)
    },
    async checkEnd (storage, directory) {
      const { complete, finished } = await mustFind(storage, 'a')
      assert.deepEqual({ complete, finished }, { complete: true, finished: true })
      assert.equal(await storage.find('b'), null)
      await checkRemains(storage, directory, 'a')
    }
  },

  'locks: what a process held is free for the next one, wherever it was': {
    prepare: async () => {},
    operation: { name: 'lock' },
    async check (storage, directory) {
      assert.deepEqual(await readdir(join(directory, '.locks')), [])
      assert.equal(await storage.locker!.withLock('a', 60_000, async () => 'free'), 'free')
    },
    retry: async () => {},
    async checkEnd (_storage, directory) {
      assert.deepEqual(await readdir(join(directory, '.locks')), [])
      const registered = (await readdir(join(directory, '.processes'))).filter(name => !name.startsWith('new-'))
      assert.equal(registered.length, 1, 'only the living are registered')
    }
  },

  'TE-2: remove: the upload is there whole, or gone; afterwards nothing is left': {
    async prepare (storage) {
      await createFilled(storage, SMALL, { length: SMALL, partial: true })
      await storage.addWaiting!('a', 'b')
    },
    operation: { name: 'remove', id: 'a' },
    async check (storage, directory) {
      if (await storage.find('a')) assert.equal(await checkContent(storage, directory, 'a'), SMALL)
    },
    retry: async (storage, _directory, step) => { if (step % 2 === 0) await storage.remove('a') },
    async checkEnd (storage, directory) {
      await storage.tidy!(new Date(Date.now() + 60_000))
      if (await storage.find('a')) await storage.remove('a')
      assert.deepEqual(await listNames(directory), [])
    }
  }
}

function makeFinal (): Buffer {
  return Buffer.concat([makeContent(SMALL), makeContent(LARGE), makeContent(SMALL)])
}

/** What a process leaves that dies while it writes bytes that are yet to be verified. */
async function leaveUnverified (directory: string): Promise<void> {
  const record = JSON.parse(await readFile(join(directory, 'a.json'), 'utf8'))
  await writeFile(join(directory, 'a.json'), JSON.stringify({ ...record, hold: 3 }) + '\n')
  await appendFile(join(directory, 'a'), Buffer.alloc(SMALL, 'x'))
}

for (const [name, scenario] of Object.entries(SCENARIOS)) t.test(name, t => runMatrix(t, scenario))
