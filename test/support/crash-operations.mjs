import { appendFileSync } from 'node:fs'
import { join } from 'node:path'

/** Bytes that differ wherever they are: 13 is no divisor of what storages divide by. */
export function makeContent (size) {
  return Buffer.alloc(size, '0123456789abc')
}

/**
 * Runs one operation on a storage, as JSON describes it.
 *
 * @param openOther makes a second storage on the same directory, which is to the first one what another process is
 * @param directory of the storage
 */
export async function perform (storage, { name, id, ...given }, openOther, directory) {
  switch (name) {
    case 'open': return
    case 'create': return storage.create({ ...revive(given.upload), createdAt: new Date(given.upload.createdAt) })
    case 'append': return append(storage, id, given)
    case 'complete': return storage.complete(id)
    case 'setLength': return storage.setLength(id, given.length)
    case 'update': return storage.update(id, () => revive(given.change))
    case 'concatenate': return storage.concatenate(id, given.parts)
    case 'addWaiting': return storage.addWaiting(id, given.final)
    case 'work': return work(storage, id)
    case 'remove': return storage.remove(id)
    case 'settle': return settle(storage, given.upload)
    case 'sweep': return sweep(storage)
    case 'request': return request(storage, given, directory)
    case 'lock': return lock(storage, openOther())
    default: throw new Error(`There is no operation ${name}`)
  }
}

/** JSON has no times. */
function revive (given) {
  return given.expiresAt ? { ...given, expiresAt: new Date(given.expiresAt) } : given
}

/** An upload in two pieces, of which a journal takes the first, and the end of the process. */
async function settle (storage, upload) {
  await storage.create({ ...upload, createdAt: new Date(upload.createdAt) })
  await append(storage, upload.id, { offset: 0, end: 1000, size: 1000, keep: 'prefix' })
  await append(storage, upload.id, { offset: 1000, end: 100_000, size: 100_000, keep: 'prefix' })
  await storage.close()
}

/** What an application does from time to time. */
async function sweep (storage) {
  // Not before the calls of the file system are counted.
  const [{ default: Fastify }, { default: fastifyTus }] = await Promise.all([import('fastify'), import('../../dist/lib/index.js')])
  const app = Fastify()
  await app.register(fastifyTus, { storage, expiration: { incomplete: 1000, sweepInterval: null } })
  app.tus.addHook('postFinish', async () => {})
  await app.ready()
  const { failed } = await app.tus.sweep()
  if (failed > 0) throw new Error(`${failed} uploads could not be swept`)
}

/**
 * A request to an application with the upload protocols, and one route of its own that takes uploads: the bytes of the content from `offset` to `end`. With
 * `looks`, a hook reads what is all there, and keeps it in `.looked`.
 */
async function request (storage, { method, url, headers, offset, end, looks = false, status = 200 }, directory) {
  const [{ default: Fastify }, { default: fastifyTus }] = await Promise.all([import('fastify'), import('../../dist/lib/index.js')])
  const app = Fastify()
  await app.register(fastifyTus, { storage, generateId: () => 'a', expiration: false })
  app.post('/documents', app.tus.resumable(async ({ upload }) => ({ size: upload.length })))
  if (looks) app.tus.addHook('preFinish', (_request, upload) => look(app, upload, join(directory, '.looked')))
  const { statusCode, body } = await app.inject({ method, url, headers, payload: makeContent(end).subarray(offset) })
  if (statusCode >= 300 && statusCode !== status) throw new Error(`It answers ${statusCode}: ${body}`)
}

/** @param path gets what the hook has read */
async function look (app, { id, complete, offset }, path) {
  const bytes = Buffer.concat(await app.tus.createReadStream(id).toArray())
  if (complete || !bytes.equals(makeContent(offset))) throw new Error('The hook sees what it should not')
  appendFileSync(path, bytes)
}

/** Takes a lock, passes it to another process, and takes it again. */
async function lock (storage, other) {
  await other.open()
  let waiting
  await storage.locker.withLock('a', 5000, async wanted => {
    waiting = other.locker.withLock('a', 5000, async () => {})
    await new Promise(resolve => { wanted.onRequest(resolve) })
  })
  await waiting
  await storage.locker.withLock('a', 5000, async () => {})
  await other.close()
}

/** What a worker does that finishes an upload. */
async function work (storage, id) {
  const lease = await storage.claim(id, 60_000)
  if (lease === null) throw new Error('Somebody has a lease')
  await lease.renew()
  await storage.update(id, () => ({ processed: true }))
  await lease.release()
}

/** Appends the content from `offset` to `end` in pieces of `size`; with `wrong`, other bytes, which then turn out to be wrong. */
async function append (storage, id, { offset, end, size, keep, wrong = false }) {
  const content = wrong ? Buffer.alloc(end, 'x') : makeContent(end)
  const failure = new Error('the checksum is wrong')
  let at = offset
  const body = {
    async next () {
      if (at === end && wrong) throw failure
      if (at === end) return null
      const piece = content.subarray(at, Math.min(end, at + size))
      at += piece.length
      return [piece]
    }
  }
  await storage.append(id, { offset, keep, body }).catch(error => { if (error !== failure) throw error })
}
