import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UploadMissing, type Storage } from '../storage.js'
import type { NewUpload } from '../upload.js'
import type { Check } from './check.js'
import { MIB, UNTOUCHABLE, createUpload, makeBody, makeUpload, mustFind, plain, readAll, readBytes } from './uploads.js'

/** Uploads that have an id one after the other. */
export function testIdentity (check: Check): void {
  for (const [name, given, size] of [
    ['empty', { length: null }, 0],
    ['incomplete', { length: 6 }, 3],
    ['complete', { length: 6 }, 6],
    ['full', { length: 6, completes: 'by-mark' }, 6]
  ] as const) {
    check(`createdAt: an upload that has the id of another since is not that one, and stays as it is (${name})`, async storage => {
      const { id, createdAt } = await createUpload(storage, given)
      const successor = await succeed(storage, id, { ...given, createdAt: new Date(createdAt.getTime() + 1) }, 'secret'.slice(0, size))
      const before = plain(await mustFind(storage, id))
      await assert.rejects(storage.append(id, { createdAt, offset: size, keep: 'prefix', body: UNTOUCHABLE }), UploadMissing)
      await assert.rejects(storage.setLength(id, 6, createdAt), UploadMissing)
      await assert.rejects(storage.complete(id, createdAt), UploadMissing)
      await storage.remove(id, createdAt)
      assert.equal(await storage.read?.(id, { start: 0, end: size - 1 }, createdAt) ?? null, null)
      assert.deepEqual(plain(await mustFind(storage, id)), before)
      await storage.remove(id, successor.createdAt)
      assert.equal(await storage.find(id), null)
    })
  }

  check('createdAt: the upload that was created then is meant', async storage => {
    const { id, createdAt } = await createUpload(storage, { length: null, completes: 'by-mark' })
    assert.equal(await storage.append(id, { createdAt, offset: 0, keep: 'prefix', body: makeBody([[Buffer.from('abc')]]) }), 3)
    await storage.setLength(id, 3, createdAt)
    await storage.complete(id, createdAt)
    const stream = await storage.read?.(id, { start: 1, end: 2 }, createdAt)
    if (stream) assert.equal(Buffer.concat(await stream.toArray()).toString(), 'bc')
    await storage.remove(id, createdAt)
    assert.equal(await storage.find(id), null)
    await storage.remove(id, createdAt)
  })

  for (const keep of ['prefix', 'all-or-nothing'] as const) {
    check(`createdAt: a body that comes in while its upload is replaced does not get into the other one, keep ${keep}`, async storage => {
      // Where the storage brings exclusion, nobody removes an upload that is being filled.
      if (storage.locker) return
      const { id, createdAt } = await createUpload(storage, { length: 6 })
      let looks = 0
      const body = makeBody([[Buffer.from('pub')], [Buffer.from('lic')]], null, async () => {
        if (looks++ === 1) await succeed(storage, id, { length: 6, createdAt: new Date(createdAt.getTime() + 1) }, '')
      })
      await assert.rejects(storage.append(id, { createdAt, offset: 0, keep, body }), UploadMissing)
      assert.equal((await mustFind(storage, id)).offset, 0)
    })
  }

  check('createdAt: a final upload is made of the parts that are meant, or stays empty', async storage => {
    if (!storage.concatenate) return
    const part = await createPart(storage, 'public')
    const other = await createPart(storage, 'other')
    const parts = [other.id, part.id]
    const final = await createUpload(storage, { length: 11, final: true, parts, partsCreatedAt: [other, part].map(({ createdAt }) => createdAt.getTime()) })
    assert.deepEqual((await mustFind(storage, final.id)).partsCreatedAt, final.partsCreatedAt)
    const created = { final: final.createdAt, parts: [other.createdAt, part.createdAt] }
    const successor = await succeed(storage, part.id, { length: 6, partial: true, createdAt: new Date(part.createdAt.getTime() + 1) }, 'secret')
    await assert.rejects(storage.concatenate(final.id, parts, created), UploadMissing)
    const now = [other.createdAt, successor.createdAt]
    await assert.rejects(storage.concatenate(final.id, parts, { final: new Date(1), parts: now }), UploadMissing)
    assert.equal((await mustFind(storage, final.id)).offset, 0)
    assert.equal(await storage.concatenate(final.id, parts, { final: final.createdAt, parts: now }), 11)
    assert.equal(await readAll(storage, final.id), 'othersecret')
  })

  check('createdAt: a part that is replaced during the copy leaves no byte of the other', async storage => {
    if (!storage.concatenate) return
    const bytes = randomBytes(MIB)
    for (let count = 0; count < 6; count++) {
      const filled = await Promise.all([0, 1, 2, 3].map(() => createPart(storage, bytes)))
      const parts = filled.map(({ id }) => id)
      const final = await createUpload(storage, { length: 4 * MIB, final: true, parts })
      const last = filled[3]!
      const concatenating: Promise<number> = storage.concatenate(final.id, parts, { final: final.createdAt, parts: filled.map(({ createdAt }) => createdAt) })
      const replace = async () => {
        for (let ticks = 0; ticks < 4 ** count; ticks++) await Promise.resolve()
        await succeed(storage, last.id, { length: MIB, partial: true, createdAt: new Date(last.createdAt.getTime() + 1) }, Buffer.alloc(MIB))
      }
      const [concatenated] = await Promise.allSettled([concatenating, replace()])
      const { offset } = await mustFind(storage, final.id)
      if (concatenated.status === 'rejected') assert.ok(concatenated.reason instanceof UploadMissing, String(concatenated.reason))
      assert.equal(offset, concatenated.status === 'fulfilled' ? 4 * MIB : 0)
      if (offset > 0) assert.ok((await readBytes(storage, final.id)).subarray(3 * MIB).equals(bytes), 'it has the bytes of the part')
    }
  })

  check('createdAt: saveTo gives the upload that is meant, or leaves what is at the path', async storage => {
    if (!storage.saveTo) return
    const folder = await mkdtemp(join(tmpdir(), 'contract-'))
    const path = join(folder, 'saved')
    try {
      const { id, createdAt } = await createPart(storage, 'public')
      await storage.saveTo(id, path, createdAt)
      assert.equal(await readFile(path, 'utf8'), 'public')
      await rm(path)
      await writeFile(path, 'before')
      await succeed(storage, id, { length: 6, createdAt: new Date(createdAt.getTime() + 1) }, 'secret')
      await assert.rejects(storage.saveTo(id, path, createdAt), UploadMissing)
      await storage.remove(id)
      await assert.rejects(storage.saveTo(id, path), UploadMissing)
      assert.equal(await readFile(path, 'utf8'), 'before')
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  check('remove: takes leases and notes along, so that the next upload of that id has none of them', async storage => {
    const { id } = await createPart(storage, 'public')
    const lease = await storage.claim?.(id, 600_000)
    await storage.addWaiting?.(id, 'a-final-one')
    await succeed(storage, id, { length: 6, partial: true }, 'secret')
    if (storage.findWaiting) assert.deepEqual(await storage.findWaiting(id), [])
    if (!storage.claim) return
    assert.equal(await lease!.renew(), false)
    const next = await storage.claim(id, 600_000)
    assert.ok(next, 'it can be claimed')
    await lease!.release()
    assert.equal(await next.renew(), true)
    await next.release()
  })
}

async function createPart (storage: Storage, content: string | Buffer): Promise<NewUpload> {
  const bytes = Buffer.from(content)
  const upload = await createUpload(storage, { length: bytes.length, partial: true })
  await storage.append(upload.id, { offset: 0, keep: 'prefix', body: makeBody([[bytes]]) })
  return upload
}

/** Removes an upload, and creates another under its id. */
async function succeed (storage: Storage, id: string, given: Partial<NewUpload>, content: string | Buffer): Promise<NewUpload> {
  await storage.remove(id)
  const upload = makeUpload({ ...given, id })
  await storage.create(upload)
  const bytes = Buffer.from(content)
  if (bytes.length > 0) await storage.append(id, { offset: 0, keep: 'prefix', body: makeBody([[bytes]]) })
  return upload
}
