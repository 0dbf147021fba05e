import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'

/** What a process does, and what goes wrong meanwhile. */
export const scenarios = { plain, batches, removal, removalAgain, removalFails, removalSettled, saved, logFails, everythingFails, cutFails, full, syncFails, twoProcesses }

/** An upload, and what a client knows of it. */
class Client {
  #storage
  #tell
  #createdAt
  content = Buffer.alloc(0)

  constructor (storage, tell, id, createdAt = 1_700_000_000_000) {
    this.#storage = storage
    this.#tell = tell
    this.id = id
    this.#createdAt = createdAt
  }

  async create () {
    await this.#storage.create({
      id: this.id,
      length: null,
      metadata: { filename: this.id },
      serverMetadata: {},
      echo: {},
      partial: false,
      final: false,
      parts: [],
      completes: 'at-length',
      createdAt: new Date(this.#createdAt),
      expiresAt: null
    })
    this.#tell({ id: this.id, content: this.content })
  }

  async append (size, letter = this.id) {
    const rest = [[Buffer.alloc(size, letter)]]
    const bytes = Buffer.concat(rest[0])
    const offset = this.content.length
    await this.#storage.append(this.id, { offset, keep: 'prefix', body: { next: async () => rest.shift() ?? null } })
    this.content = Buffer.concat([this.content, bytes])
    this.#tell({ id: this.id, content: this.content })
  }

  async remove () {
    this.#tell({ id: this.id, content: this.content, removing: 'begun' })
    await this.#storage.remove(this.id)
    this.#tell({ id: this.id, content: this.content, removing: 'done' })
  }

  /** Goes on with another process. */
  moveTo (storage) {
    this.#storage = storage
  }
}

const SMALL = 1000
const LARGE = 100_000

async function plain ({ open, tell }) {
  const storage = open()
  const a = new Client(storage, tell, 'a')
  await a.create()
  await a.append(SMALL)
  await a.append(LARGE, 'b')
  await a.append(SMALL, 'c')
  await storage.update('a', () => ({ serverMetadata: { seen: true } }))
  await a.append(SMALL, 'd')
  await storage.setLength('a', a.content.length)
  await storage.complete('a')
  await storage.close()
  const next = open()
  const b = new Client(next, tell, 'b')
  await b.create()
  await b.append(SMALL)
  await next.close()
}

async function batches ({ open, tell }) {
  const storage = open()
  const clients = [...'abcdefgh'].map(id => new Client(storage, tell, id))
  await Promise.all(clients.map(async (client, index) => {
    await client.create()
    for (let round = 0; round < 3; round++) await client.append(index % 3 === round ? LARGE : SMALL, String(round))
  }))
  await storage.close()
}

async function removal ({ open, tell }) {
  const storage = open()
  for (const id of ['a', 'b']) {
    const client = new Client(storage, tell, id)
    await client.create()
    await client.append(SMALL)
    await client.remove()
  }
  const again = new Client(storage, tell, 'a', 1_700_000_001_000)
  await again.create()
  await again.append(SMALL, 'x')
  await storage.close()
}

/** The note of a removal can't be synced, and the client asks for it again. */
async function removalAgain ({ open, tell, setFault }) {
  const storage = open()
  const client = new Client(storage, tell, 'a')
  await client.create()
  await client.append(SMALL)
  setFault((call, path) => call === 'fsync' && path.endsWith('/removed') ? 'EIO' : null)
  await assert.rejects(client.remove(), { code: 'EIO' })
  setFault(() => null)
  await client.remove()
  await storage.close()
}

/** The system makes the end of a note durable by itself, and the end of the log that it was for not yet. */
async function removalSettled ({ open, tell, work }) {
  const storage = open()
  for (const id of ['a', 'b', 'c']) {
    const client = new Client(storage, tell, id)
    await client.create()
    await client.append(SMALL)
    await client.remove()
  }
  await storage.close()
  const notes = fs.openSync(join(work, '.journal/removed'), 'r')
  fs.fsyncSync(notes)
  fs.closeSync(notes)
}

/** The application gives the bytes another name, and removes the upload. */
async function saved ({ open, tell, work }) {
  fs.mkdirSync(join(work, 'kept'))
  const folder = fs.openSync(work, 'r')
  fs.fsyncSync(folder)
  fs.closeSync(folder)
  const storage = open()
  const client = new Client(storage, tell, 'a')
  await client.create()
  await client.append(SMALL)
  await storage.saveTo('a', join(work, 'kept/file'))
  tell({ id: 'kept/file', content: client.content, saved: true })
  await client.remove()
  const next = new Client(storage, tell, 'b')
  await next.create()
  await next.append(SMALL)
  await storage.close()
}

/** The files of an upload can't be removed behind the note, and the client goes on with it. */
async function removalFails ({ open, tell, setFault }) {
  const storage = open()
  const client = new Client(storage, tell, 'a')
  await client.create()
  await client.append(SMALL)
  setFault((call, path) => call === 'rm' && path.endsWith('/a') ? 'EIO' : null)
  await assert.rejects(client.remove(), { code: 'EIO' })
  setFault(() => null)
  await client.append(SMALL, 'b')
  await client.append(SMALL, 'c')
  await storage.close()
}

/** The log can't be synced: each file is, and the log begins anew later. */
async function logFails ({ open, tell, setFault }) {
  const storage = open()
  const a = new Client(storage, tell, 'a')
  await a.create()
  let failures = 0
  setFault((call, path) => call === 'fdatasync' && path.endsWith('.log') && failures++ === 0 ? 'EIO' : null)
  await a.append(SMALL)
  assert.ok(failures > 0)
  await a.append(SMALL, 'b')
  const b = new Client(storage, tell, 'b')
  await b.create()
  await storage.close()
}

/** Neither the log nor the file can be synced: what was sent is not acknowledged, and other bytes come in its place. */
async function everythingFails ({ open, tell, setFault }) {
  const storage = open()
  const a = new Client(storage, tell, 'a')
  await a.create()
  await a.append(SMALL)
  let failures = 0
  setFault(call => call === 'fdatasync' && [0, 2].includes(failures++) ? 'EIO' : null)
  await assert.rejects(a.append(SMALL, 'x'), { code: 'EIO' })
  setFault(() => null)
  await a.append(SMALL, 'b')
  await storage.close()
}

/** The log can't even be cut: nothing is acknowledged until it can, and what was written counts then. */
async function cutFails ({ open, tell, setFault }) {
  const storage = open()
  const [a, b] = ['a', 'b'].map(id => new Client(storage, tell, id))
  await a.create()
  await b.create()
  let isBroken = false
  setFault((call, path) => {
    if (!path.endsWith('.log')) return null
    if (call === 'fdatasync') isBroken = true
    return isBroken ? 'EIO' : null
  })
  await assert.rejects(a.append(SMALL), { name: 'StorageUnavailable' })
  await assert.rejects(b.append(LARGE), { name: 'StorageUnavailable' })
  await assert.rejects(new Client(storage, tell, 'c').create(), { name: 'StorageUnavailable' })
  setFault(() => null)
  const found = await storage.find('a')
  assert.equal(found?.offset, SMALL)
  a.content = Buffer.alloc(SMALL, 'a')
  await a.append(SMALL, 'b')
  b.content = Buffer.alloc((await storage.find('b')).offset, 'b')
  await b.append(SMALL)
  await storage.close()
}

async function full ({ open, tell, setFault }) {
  const storage = open()
  const a = new Client(storage, tell, 'a')
  await a.create()
  setFault((call, path) => call === 'writev' && path.endsWith('.log') ? 'ENOSPC' : null)
  await a.append(SMALL)
  setFault(call => call === 'writev' ? 'ENOSPC' : null)
  await assert.rejects(a.append(SMALL, 'x'), { name: 'StorageFull' })
  await assert.rejects(new Client(storage, tell, 'b').create(), { name: 'StorageFull' })
  setFault(() => null)
  await a.append(SMALL, 'b')
  await storage.close()
}

/** The file system can't be synced: the logs stay, and what they tell is written again before they go. */
async function syncFails ({ open, tell, setFault }) {
  const storage = open()
  const a = new Client(storage, tell, 'a')
  await a.create()
  await a.append(SMALL)
  setFault(call => call === 'sync' ? 'EIO' : null)
  await storage.close()
  setFault(() => null)
  const next = open()
  await next.open()
  a.moveTo(next)
  await a.append(SMALL, 'b')
  await next.close()
}

/** One with a journal, and one that syncs each file. */
async function twoProcesses ({ open, tell }) {
  const storages = [open({ locks: 'directory' }), open({ locks: 'directory', journal: false })]
  const [a, b, c] = ['a', 'b', 'c'].map(id => new Client(storages[0], tell, id))
  for (const client of [a, b, c]) await client.create()
  await c.append(SMALL)
  for (const client of [a, b, c]) client.moveTo(storages[1])
  await a.append(SMALL)
  await b.append(LARGE)
  await c.remove()
  a.moveTo(storages[0])
  await a.append(SMALL, 'x')
  for (const storage of storages) await storage.close()
}
