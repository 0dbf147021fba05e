import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { LockTimeout, type Locker, type Wanted } from './locker.js'
import { LengthConflict, OffsetConflict, UploadExists, UploadMissing, type Storage, type UploadBody } from './storage.js'
import type { NewUpload } from './upload.js'

/** Registers one test: `test` of `node:test`, or a function that adapts another runner. */
export type RegisterTest = (name: string, run: () => Promise<void>) => unknown

export interface StorageContractOptions {
  readonly test: RegisterTest
  /** Makes an empty storage, for one test. */
  readonly createStorage: () => Storage | Promise<Storage>
  /** Opens another storage on the same data, as the next process would. Leave out where data end with the storage. */
  readonly reopen?: (storage: Storage) => Storage | Promise<Storage>
}

/**
 * Tests that an adapter keeps the promises of {@link Storage}. Every adapter of this project passes it, and so should one of your own.
 *
 * ```ts
 * import { test } from 'node:test'
 * import { runStorageContract } from 'fastify-tus/contract'
 *
 * runStorageContract({ test, createStorage: () => createMyStorage() })
 * ```
 */
export function runStorageContract ({ test, createStorage, reopen }: StorageContractOptions): void {
  const check = (name: string, run: (storage: Storage) => Promise<void>) => test(name, async () => {
    const storage = await createStorage()
    await storage.open?.()
    try {
      await run(storage)
    } finally {
      await storage.close?.()
    }
  })

  check('create: find returns what was created, empty and incomplete', async storage => {
    const upload = makeUpload({
      length: Number.MAX_SAFE_INTEGER,
      metadata: JSON.parse('{"filename":"füße.txt","__proto__":"a key like any other","empty":""}'),
      serverMetadata: { owner: 7, tags: ['a', null], nested: { ok: true } },
      echo: { 'upload-metadata': 'filename ZsO8w59lLnR4dA==' },
      partial: true,
      expiresAt: new Date(Date.now() + 1000)
    })
    await storage.create(upload)
    const { modifiedAt, ...found } = await mustFind(storage, upload.id)
    assert.deepEqual(plain(found), plain({ ...upload, offset: 0, complete: false, finished: false, processed: false }))
    assert.ok(modifiedAt instanceof Date)
  })

  check('create: refuses an id that exists, and leaves that upload as it is', async storage => {
    const upload = await createUpload(storage, { length: 10 })
    await append(storage, upload.id, 0, 'abc')
    await assert.rejects(storage.create(makeUpload({ id: upload.id, length: 99 })), UploadExists)
    const found = await mustFind(storage, upload.id)
    assert.deepEqual([found.length, found.offset], [10, 3])
  })

  check('create: lets exactly one of many win the same id', async storage => {
    const upload = makeUpload({ length: 1 })
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => storage.create(upload)))
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
    assert.equal((await mustFind(storage, upload.id)).offset, 0)
  })

  check('find: knows nothing of an id that was never created', async storage => {
    assert.equal(await storage.find(makeId()), null)
  })

  check('append: resolves to the new offset, and find tells the same', async storage => {
    const { id } = await createUpload(storage, { length: 11 })
    assert.equal(await append(storage, id, 0, 'hello ', 'wor'), 9)
    assert.equal((await mustFind(storage, id)).offset, 9)
    assert.equal(await append(storage, id, 9, 'ld'), 11)
    assert.equal(await readAll(storage, id), 'hello world')
  })

  check('append: keeps bytes exactly, in batches of every shape', async storage => {
    const batches = [
      [randomBytes(1)],
      Array.from({ length: 3000 }, () => randomBytes(7)),
      [randomBytes(5 * MIB)],
      [randomBytes(0), randomBytes(65536), randomBytes(0), randomBytes(3)],
      Array.from({ length: 40 }, () => randomBytes(65536))
    ]
    const bytes = Buffer.concat(batches.flat())
    const { id } = await createUpload(storage, { length: bytes.length })
    assert.equal(await storage.append(id, { offset: 0, keep: 'prefix', body: makeBody(batches) }), bytes.length)
    assert.equal(await hashOf(storage, id), createHash('sha256').update(bytes).digest('hex'))
  })

  check('append: takes an empty body for what it is', async storage => {
    const { id } = await createUpload(storage, { length: 3 })
    assert.equal(await append(storage, id, 0), 0)
    await append(storage, id, 0, 'abc')
    assert.equal(await append(storage, id, 3), 3)
    assert.equal(await readAll(storage, id), 'abc')
  })

  check('append: refuses another offset before it touches the body, and tells the right one', async storage => {
    const { id } = await createUpload(storage, { length: 10 })
    await append(storage, id, 0, 'abcd')
    for (const offset of [0, 3, 5, 10]) {
      await assert.rejects(
        storage.append(id, { offset, keep: 'prefix', body: UNTOUCHABLE }),
        error => error instanceof OffsetConflict && error.offset === 4
      )
    }
    await append(storage, id, 4, 'efghij')
    assert.equal(await readAll(storage, id), 'abcdefghij')
  })

  check('append: refuses an upload that is not there before it touches the body', async storage => {
    await assert.rejects(storage.append(makeId(), { offset: 0, keep: 'prefix', body: UNTOUCHABLE }), UploadMissing)
  })

  for (const keep of ['prefix', 'all-or-nothing'] as const) {
    check(`append, keep ${keep}: a body that throws leaves the upload where it was`, async storage => {
      const { id } = await createUpload(storage, { length: 9 })
      await append(storage, id, 0, 'abc')
      const failure = new Error('the checksum is wrong')
      const body = makeBody([[Buffer.from('XXXX')], [randomBytes(3 * MIB)]], failure)
      await assert.rejects(storage.append(id, { offset: 3, keep, body }), failure)
      assert.equal((await mustFind(storage, id)).offset, 3)
      assert.equal(await append(storage, id, 3, 'def'), 6)
      await append(storage, id, 6, 'ghi')
      assert.equal(await readAll(storage, id), 'abcdefghi')
    })

    check(`append, keep ${keep}: a body that throws at once changes nothing`, async storage => {
      const { id } = await createUpload(storage, { length: 3 })
      const failure = new Error('too long')
      await assert.rejects(storage.append(id, { offset: 0, keep, body: makeBody([], failure) }), failure)
      assert.equal(await append(storage, id, 0, 'abc'), 3)
      assert.equal(await readAll(storage, id), 'abc')
    })

    for (const size of [MIB, 5 * MIB]) {
      check(`append, keep ${keep}: a body of ${size / MIB} MiB counts as a whole when it ends, and not at all when it throws`, async storage => {
        const { id } = await createUpload(storage, { length: 100 * MIB })
        await append(storage, id, 0, 'abc')
        const bytes = randomBytes(size)
        const batches = Array.from({ length: size / MIB }, (_, index) => [bytes.subarray(index * MIB, (index + 1) * MIB)])
        const failure = new Error('the checksum is wrong')
        await assert.rejects(storage.append(id, { offset: 3, keep, body: makeBody(batches, failure) }), failure)
        assert.equal((await mustFind(storage, id)).offset, 3)
        const kept = createHash('sha256').update('abc').update(bytes).digest('hex')
        assert.equal(await storage.append(id, { offset: 3, keep, body: makeBody(batches) }), size + 3)
        assert.equal((await mustFind(storage, id)).offset, size + 3)
        assert.equal(await hashOf(storage, id), kept)
        const next = await reopen?.(storage)
        assert.equal((await next?.find(id))?.offset ?? size + 3, size + 3)
        await next?.close?.()
      })
    }

    check(`append, keep ${keep}: a body that ends early is kept`, async storage => {
      const { id } = await createUpload(storage, { length: 100 })
      assert.equal(await storage.append(id, { offset: 0, keep, body: makeBody([[Buffer.from('abc')]]) }), 3)
      assert.equal((await mustFind(storage, id)).offset, 3)
    })
  }

  check('append, keep all-or-nothing: find counts nothing of it before all of it is durable', async storage => {
    const { id } = await createUpload(storage, { length: 6 * MIB + 3 })
    await append(storage, id, 0, 'abc')
    const seen: Array<number | undefined> = []
    const look = async () => {
      seen.push((await storage.find(id))?.offset)
      const next = await reopen?.(storage)
      if (next) seen.push((await next.find(id))?.offset)
      await next?.close?.()
    }
    const batches = Array.from({ length: 3 }, () => [randomBytes(2 * MIB)])
    await storage.append(id, { offset: 3, keep: 'all-or-nothing', body: makeBody(batches, null, look) })
    assert.deepEqual(new Set(seen), new Set([3]))
    assert.equal((await mustFind(storage, id)).offset, 6 * MIB + 3)
  })

  check('append: what onProgress tells counts from then on, also if the body throws', async storage => {
    const { id } = await createUpload(storage, { length: 100 })
    const told: number[] = []
    const looks: Array<Promise<void>> = []
    const onProgress = (offset: number) => {
      told.push(offset)
      looks.push(mustFind(storage, id).then(found => { assert.ok(found.offset >= offset, `${found.offset} where ${offset} was told`) }))
    }
    const failure = new Error('too long')
    const body = makeBody([[Buffer.from('abc')], [Buffer.from('def')], [Buffer.from('ghi')]], failure, () => pause(5))
    await assert.rejects(storage.append(id, { offset: 0, keep: 'prefix', body, onProgress, progressInterval: 1 }), failure)
    await Promise.all(looks)
    const { offset } = await mustFind(storage, id)
    assert.ok(offset >= (told.at(-1) ?? 0), `${offset} is left where ${told} was told`)
    assert.deepEqual(told, told.toSorted((a, b) => a - b))
    await append(storage, id, offset, 'x')
    assert.equal(await readAll(storage, id), 'abcdefghi'.slice(0, offset) + 'x')
  })

  for (const { keep, held } of [{ keep: 'prefix', held: 0 }, { keep: 'all-or-nothing', held: 1 }] as const) {
    check(`append, keep ${keep}: holds no batch for longer than it may`, async storage => {
      const bytes = randomBytes(7 * MIB)
      const { id } = await createUpload(storage, { length: bytes.length })
      const lent: Buffer[] = []
      let at = 0
      const body: UploadBody = {
        async next () {
          while (lent.length > held) lent.shift()!.fill(0)
          if (at === bytes.length) return null
          lent.push(Buffer.from(bytes.subarray(at, at += MIB)))
          return [lent.at(-1)!]
        }
      }
      assert.equal(await storage.append(id, { offset: 0, keep, body }), bytes.length)
      assert.ok((await readBytes(storage, id)).equals(bytes), 'byte for byte')
    })
  }

  check('append, keep all-or-nothing: tells no progress', async storage => {
    const { id } = await createUpload(storage, { length: 6 })
    const told: number[] = []
    const body = makeBody([[Buffer.from('abc')], [Buffer.from('def')]], null, () => pause(5))
    await storage.append(id, { offset: 0, keep: 'all-or-nothing', body, onProgress: offset => told.push(offset), progressInterval: 1 })
    assert.deepEqual(told, [])
  })

  check('append: modifiedAt is when bytes arrived last, and a body of none is not that', async storage => {
    const { id } = await createUpload(storage, { length: 100 })
    const created = await mustFind(storage, id)
    await pause(20)
    await append(storage, id, 0, 'abc')
    const filled = await mustFind(storage, id)
    assert.ok(filled.modifiedAt > created.modifiedAt)
    await pause(20)
    for (const keep of ['prefix', 'all-or-nothing'] as const) {
      await storage.append(id, { offset: 3, keep, body: makeBody([]) })
      await assert.rejects(storage.append(id, { offset: 3, keep, body: makeBody([], new Error('no')) }))
    }
    const { modifiedAt } = await mustFind(storage, id)
    assert.ok(Math.abs(modifiedAt.getTime() - filled.modifiedAt.getTime()) < 15)
  })

  check('append: find never counts a byte before it is acknowledged', async storage => {
    const { id } = await createUpload(storage, { length: 4 * MIB })
    const seen: number[] = []
    const look = async () => { seen.push((await mustFind(storage, id)).offset) }
    const half = randomBytes(2 * MIB)
    await storage.append(id, { offset: 0, keep: 'prefix', body: makeBody([[half], [half]], null, look) })
    assert.ok(seen.every((offset, index) => offset <= 4 * MIB && offset >= (seen[index - 1] ?? 0)), `never decreases: ${seen}`)
    assert.equal((await mustFind(storage, id)).offset, 4 * MIB)
  })

  check('append: uploads that run side by side do not mix', async storage => {
    const uploads = await Promise.all(Array.from({ length: 24 }, () => createUpload(storage, { length: 300_000 })))
    const sums = await Promise.all(uploads.map(async ({ id }) => {
      const parts = [randomBytes(100_000), randomBytes(199_999), randomBytes(1)]
      let offset = 0
      for (const part of parts) offset = await storage.append(id, { offset, keep: 'prefix', body: makeBody([[part]]) })
      return createHash('sha256').update(Buffer.concat(parts)).digest('hex')
    }))
    assert.deepEqual(await Promise.all(uploads.map(({ id }) => hashOf(storage, id))), sums)
  })

  check('setLength: sets it once, and takes the same again', async storage => {
    const { id } = await createUpload(storage, { length: null })
    await append(storage, id, 0, 'abc')
    assert.equal((await mustFind(storage, id)).length, null)
    await storage.setLength(id, 5)
    await storage.setLength(id, 5)
    await assert.rejects(storage.setLength(id, 6), LengthConflict)
    const found = await mustFind(storage, id)
    assert.deepEqual([found.length, found.offset, found.complete], [5, 3, false])
    await append(storage, id, 3, 'de')
    assert.equal(await readAll(storage, id), 'abcde')
  })

  check('setLength: takes it back, as long as not all bytes are there', async storage => {
    const { id } = await createUpload(storage, { length: null })
    await append(storage, id, 0, 'abc')
    await storage.setLength(id, 5)
    await storage.setLength(id, null)
    assert.equal((await mustFind(storage, id)).length, null)
    await storage.setLength(id, 3)
    await assert.rejects(storage.setLength(id, null), LengthConflict)
    assert.equal((await mustFind(storage, id)).length, 3)
  })

  check('setLength: refuses less than what is there, and an upload that is not there', async storage => {
    const { id } = await createUpload(storage, { length: null })
    await append(storage, id, 0, 'abc')
    await assert.rejects(storage.setLength(id, 2), LengthConflict)
    assert.equal((await mustFind(storage, id)).length, null)
    await assert.rejects(storage.setLength(makeId(), 2), UploadMissing)
  })

  check('setLength: the length that has arrived already completes the upload', async storage => {
    const { id } = await createUpload(storage, { length: null })
    await append(storage, id, 0, 'abc')
    await storage.setLength(id, 3)
    assert.equal((await mustFind(storage, id)).complete, true)
  })

  check('complete: an upload that completes at its length needs no mark', async storage => {
    const { id } = await createUpload(storage, { length: 3 })
    await append(storage, id, 0, 'ab')
    assert.equal((await mustFind(storage, id)).complete, false)
    await append(storage, id, 2, 'c')
    assert.equal((await mustFind(storage, id)).complete, true)
    await storage.complete(id)
    assert.equal((await mustFind(storage, id)).complete, true)
    assert.equal(await readAll(storage, id), 'abc')
  })

  check('complete: an upload that completes by a mark waits for it', async storage => {
    const { id } = await createUpload(storage, { length: 3, completes: 'by-mark' })
    await append(storage, id, 0, 'abc')
    assert.equal((await mustFind(storage, id)).complete, false)
    await storage.complete(id)
    await storage.complete(id)
    assert.equal((await mustFind(storage, id)).complete, true)
    assert.equal(await readAll(storage, id), 'abc')
  })

  check('complete: an upload of which nobody has said that it is all waits for that', async storage => {
    for (const completes of ['at-length', 'by-mark'] as const) {
      const { id } = await createUpload(storage, { length: 3, completes: 'when-told' })
      await append(storage, id, 0, 'abc')
      assert.deepEqual((({ complete, offset }) => [complete, offset])(await mustFind(storage, id)), [false, 3])
      await storage.update(id, () => ({ completes }))
      await storage.complete(id)
      assert.equal((await mustFind(storage, id)).complete, true)
      assert.equal(await readAll(storage, id), 'abc')
    }
  })

  check('update: keeps what an upload is for', async storage => {
    const purpose = { target: 'POST /x []', digests: { sha256: null }, answer: null }
    const { id } = await createUpload(storage, { length: 3, purpose })
    assert.deepEqual((await mustFind(storage, id)).purpose, purpose)
    await append(storage, id, 0, 'abc')
    const answered = { ...purpose, digests: { sha256: 'eA==' }, answer: { status: 200, headers: { a: 'b' }, body: 'eA==' } }
    await storage.update(id, () => ({ purpose: answered }))
    assert.deepEqual((({ purpose, complete }) => [purpose, complete])(await mustFind(storage, id)), [answered, true])
  })

  check('complete: refuses an upload that is not there', async storage => {
    await assert.rejects(storage.complete(makeId()), UploadMissing)
  })

  check('complete: an upload of no bytes is complete, and reads as nothing', async storage => {
    const { id } = await createUpload(storage, { length: 0 })
    assert.equal((await mustFind(storage, id)).complete, true)
    await storage.complete(id)
    assert.equal(await readAll(storage, id), '')
  })

  check('update: changes what it is told, and shows the upload as it is', async storage => {
    const { id } = await createUpload(storage, { length: 3 })
    await append(storage, id, 0, 'ab')
    const updated = await storage.update(id, ({ offset }) => ({ serverMetadata: { seen: offset }, completes: 'by-mark' }))
    assert.deepEqual([updated?.serverMetadata, updated?.offset], [{ seen: 2 }, 2])
    await append(storage, id, 2, 'c')
    const found = await mustFind(storage, id)
    assert.deepEqual([found.serverMetadata, found.complete, found.offset], [{ seen: 2 }, false, 3])
  })

  check('update: marks what is finished and what is processed, each by itself', async storage => {
    const { id } = await createUpload(storage, { length: 3, completes: 'by-mark' })
    await append(storage, id, 0, 'abc')
    await storage.complete(id)
    const look = async () => {
      const { finished, processed, complete, offset } = await mustFind(storage, id)
      return { finished, processed, complete, offset }
    }
    assert.deepEqual(await look(), { finished: false, processed: false, complete: true, offset: 3 })
    assert.equal((await storage.update(id, () => ({ finished: true })))?.finished, true)
    assert.deepEqual(await look(), { finished: true, processed: false, complete: true, offset: 3 })
    await storage.update(id, () => ({ processed: true }))
    assert.deepEqual(await look(), { finished: true, processed: true, complete: true, offset: 3 })
    assert.equal(await readAll(storage, id), 'abc')
  })

  check('update: leaves an upload alone where there is nothing to change', async storage => {
    const { id } = await createUpload(storage, { length: 3, serverMetadata: { a: 1 } })
    assert.deepEqual((await storage.update(id, () => null))?.serverMetadata, { a: 1 })
    assert.equal(await storage.update(makeId(), () => ({ expiresAt: null })), null)
  })

  check('remove: nothing is left, and the id is free again', async storage => {
    const { id } = await createUpload(storage, { length: 3 })
    await append(storage, id, 0, 'abc')
    await storage.remove(id)
    await storage.remove(id)
    assert.equal(await storage.find(id), null)
    assert.equal(await storage.read?.(id, { start: 0, end: 2 }) ?? null, null)
    await storage.create(makeUpload({ id, length: 2 }))
    assert.equal((await mustFind(storage, id)).offset, 0)
    await append(storage, id, 0, 'xy')
    assert.equal(await readAll(storage, id), 'xy')
  })

  check('remove: an upload that never was is no error', async storage => {
    await storage.remove(makeId())
  })

  check('read: gives any range, and nothing for what is not there', async storage => {
    const { id } = await createUpload(storage, { length: 10 })
    await append(storage, id, 0, '0123456789')
    if (!storage.read) return
    for (const [start, end] of [[0, 9], [0, 0], [9, 9], [3, 6]] as const) {
      assert.equal(await readAll(storage, id, start, end), '0123456789'.slice(start, end + 1))
    }
    assert.equal(await storage.read(makeId(), { start: 0, end: 0 }), null)
  })

  check('concatenate: joins parts in their order, one several times, others empty', async storage => {
    if (!storage.concatenate) return
    const texts = ['Hello ', '', 'wor', 'ld']
    const parts = await Promise.all(texts.map(text => createFilled(storage, text)))
    const list = [3, 0, 1, 2, 3, 1, 3].map(index => parts[index]!)
    const whole = [3, 0, 1, 2, 3, 1, 3].map(index => texts[index]!).join('')
    const { id } = await createUpload(storage, { length: whole.length, final: true, parts: list })
    assert.equal(await storage.concatenate(id, list), whole.length)
    const found = await mustFind(storage, id)
    assert.deepEqual([found.offset, found.complete, found.parts], [whole.length, true, list])
    assert.equal(await readAll(storage, id), whole)
    for (const [index, part] of parts.entries()) assert.equal(await readAll(storage, part), texts[index], 'a part stays as it is')
  })

  check('concatenate: is safe to call again, and an upload that completes by a mark waits for it', async storage => {
    if (!storage.concatenate) return
    const parts = [await createFilled(storage, 'abc'), await createFilled(storage, 'def')]
    const { id } = await createUpload(storage, { length: 6, final: true, parts, completes: 'by-mark' })
    await storage.concatenate(id, parts)
    assert.equal(await storage.concatenate(id, parts), 6)
    const found = await mustFind(storage, id)
    assert.deepEqual([found.offset, found.complete], [6, false])
    await storage.complete(id)
    assert.equal((await mustFind(storage, id)).complete, true)
    assert.equal(await readAll(storage, id), 'abcdef')
  })

  check('concatenate: parts of many bytes, and 1200 of few', async storage => {
    if (!storage.concatenate) return
    const large = randomBytes(3 * MIB + 1)
    const few = await Promise.all(Array.from({ length: 1200 }, (_, index) => createFilled(storage, String(index % 10))))
    const parts = [await createFilled(storage, large), ...few, await createFilled(storage, large)]
    const { id } = await createUpload(storage, { length: 2 * large.length + 1200, final: true, parts })
    const next = await reopen?.(storage) ?? storage
    assert.equal(await next.concatenate!(id, parts), 2 * large.length + 1200)
    if (next !== storage) await next.close?.()
    const digits = Array.from({ length: 1200 }, (_, index) => index % 10).join('')
    assert.equal(await hashOf(storage, id), createHash('sha256').update(large).update(digits).update(large).digest('hex'))
  })

  check('concatenate: throws if a part or the upload is not there, and leaves the upload empty', async storage => {
    if (!storage.concatenate) return
    const part = await createFilled(storage, 'abc')
    const { id } = await createUpload(storage, { length: 6, final: true, parts: [part] })
    await assert.rejects(storage.concatenate(id, [part, makeId()]), UploadMissing)
    await assert.rejects(storage.concatenate(makeId(), [part]), UploadMissing)
    assert.equal((await mustFind(storage, id)).offset, 0)
    assert.equal(await readAll(storage, part), 'abc')
  })

  check('concatenate: a part that is removed meanwhile leaves a whole upload or an empty one', async storage => {
    if (!storage.concatenate) return
    const bytes = randomBytes(MIB)
    for (let count = 0; count < 8; count++) {
      const parts = await Promise.all([1, 2, 3, 4].map(() => createFilled(storage, bytes)))
      const { id } = await createUpload(storage, { length: 4 * MIB, final: true, parts })
      const concatenating: Promise<number> = storage.concatenate(id, parts)
      const [concatenated] = await Promise.allSettled([concatenating, pause(count).then(() => storage.remove(parts[3]!))])
      const { offset } = await mustFind(storage, id)
      if (concatenated.status === 'rejected') assert.ok(concatenated.reason instanceof UploadMissing, String(concatenated.reason))
      assert.equal(offset, concatenated.status === 'fulfilled' ? 4 * MIB : 0)
    }
  })

  check('addWaiting: findWaiting tells every final upload once, until the partial one is removed', async storage => {
    if (!storage.addWaiting || !storage.findWaiting) return
    const { id } = await createUpload(storage, { length: 1, partial: true })
    assert.deepEqual(await storage.findWaiting(id), [])
    const finals = [makeId(), makeId()].sort()
    for (const final of [...finals, ...finals]) await storage.addWaiting(id, final)
    assert.deepEqual([...await storage.findWaiting(id)].sort(), finals)
    const next = await reopen?.(storage)
    if (next) assert.deepEqual([...await next.findWaiting!(id)].sort(), finals)
    await next?.close?.()
    await append(storage, id, 0, 'x')
    assert.deepEqual([...await storage.findWaiting(id)].sort(), finals)
    await storage.remove(id)
    assert.deepEqual(await storage.findWaiting(id), [])
    assert.deepEqual(await storage.findWaiting(makeId()), [])
  })

  check('tidy: takes nothing that belongs to an upload, however old', async storage => {
    if (!storage.tidy) return
    const parts = [await createFilled(storage, 'abc'), await createFilled(storage, 'def')]
    const { id } = await createUpload(storage, { length: 6, final: true, parts })
    const { id: waiting } = await createUpload(storage, { length: 3, partial: true })
    await append(storage, waiting, 0, 'ab')
    await storage.addWaiting?.(waiting, id)
    await storage.concatenate?.(id, parts)
    await storage.tidy(new Date(Date.now() + 60_000))
    if (storage.concatenate) assert.equal(await readAll(storage, id), 'abcdef')
    assert.equal(await readAll(storage, parts[0]!), 'abc')
    assert.equal((await mustFind(storage, waiting)).offset, 2)
    if (storage.addWaiting) assert.deepEqual(await storage.findWaiting?.(waiting), [id])
    assert.equal(await append(storage, waiting, 2, 'c'), 3)
  })

  check('list: bears that uploads are removed and created meanwhile', async storage => {
    if (!storage.list) return
    const stays = await createFilled(storage, 'stays')
    const ids = await Promise.all(Array.from({ length: 60 }, () => createFilled(storage, 'goes')))
    const listed: string[] = []
    for await (const { id } of storage.list()) {
      listed.push(id)
      await Promise.all(ids.splice(0, 7).map(id => storage.remove(id)))
      if (listed.length < 5) await createFilled(storage, 'new')
    }
    assert.equal(listed.filter(id => id === stays).length, 1)
    assert.equal(new Set(listed).size, listed.length)
  })

  check('list: tells of every upload', async storage => {
    if (!storage.list) return
    const ids = (await Promise.all(Array.from({ length: 20 }, () => createUpload(storage, { length: 1 })))).map(({ id }) => id)
    await append(storage, ids[0]!, 0, 'x')
    const listed = new Map<string, boolean>()
    for await (const { id, complete } of storage.list()) listed.set(id, complete)
    assert.deepEqual([...listed.keys()].sort(), ids.sort())
    assert.equal([...listed.values()].filter(Boolean).length, 1)
  })

  if (!reopen) return

  check('the next process finds everything as it was, and goes on', async storage => {
    const { id } = await createUpload(storage, { length: 8, completes: 'by-mark', serverMetadata: { a: [1] } })
    await append(storage, id, 0, 'abcd')
    const before = await mustFind(storage, id)
    const next = await reopen(storage)
    await next.open?.()
    try {
      const { modifiedAt, ...after } = await mustFind(next, id)
      assert.deepEqual(plain({ ...after, modifiedAt: before.modifiedAt }), plain(before))
      await append(next, id, 4, 'efgh')
      await next.complete(id)
      assert.equal(await readAll(next, id), 'abcdefgh')
      assert.equal((await mustFind(storage, id)).complete, true)
    } finally {
      await next.close?.()
    }
  })

  check('two processes never append at the same place', async storage => {
    const { id } = await createUpload(storage, { length: 6 })
    const next = await reopen(storage)
    try {
      await append(storage, id, 0, 'abc')
      await assert.rejects(append(next, id, 0, 'xyz'), OffsetConflict)
      assert.equal(await append(next, id, 3, 'def'), 6)
      await assert.rejects(append(storage, id, 3, 'xyz'), OffsetConflict)
      assert.equal(await readAll(storage, id), 'abcdef')
      await next.remove(id)
      assert.equal(await storage.find(id), null)
      await assert.rejects(append(storage, id, 6), UploadMissing)
    } finally {
      await next.close?.()
    }
  })
}

export interface LockerContractOptions {
  readonly test: RegisterTest
  readonly createLocker: () => Locker | Promise<Locker>
}

/** Tests that a locker keeps the promises of {@link Locker}. */
export function runLockerContract ({ test, createLocker }: LockerContractOptions): void {
  const check = (name: string, run: (locker: Locker) => Promise<void>) => test(name, async () => run(await createLocker()))

  check('passes on what the work resolves to, and what it throws', async locker => {
    assert.equal(await locker.withLock('a', 1000, async () => 42), 42)
    const failure = new Error('no')
    await assert.rejects(locker.withLock('a', 1000, async () => { throw failure }), failure)
    assert.equal(await locker.withLock('a', 1000, async () => 43), 43)
  })

  check('lets one in at a time, in the order of the calls', async locker => {
    const order: number[] = []
    let inside = 0
    await Promise.all(Array.from({ length: 20 }, (_, index) => locker.withLock('a', 10_000, async () => {
      assert.equal(++inside, 1)
      await tick()
      order.push(index)
      inside--
    })))
    assert.deepEqual(order, Array.from({ length: 20 }, (_, index) => index))
  })

  check('lets different uploads alone', async locker => {
    const [first, second] = [defer(), defer()]
    const holding = locker.withLock('a', 1000, () => first.promise)
    const other = locker.withLock('b', 1000, () => second.promise)
    second.resolve()
    await other
    first.resolve()
    await holding
  })

  check('tells the holder at once that somebody waits', async locker => {
    const entered = defer()
    const holding = locker.withLock('a', 1000, async wanted => {
      assert.equal(wanted.requested, false)
      entered.resolve()
      await once(wanted)
    })
    await entered.promise
    assert.equal(await locker.withLock('a', 10_000, async wanted => wanted.requested), false)
    await holding
  })

  check('tells the next holder that a third one waits already', async locker => {
    const release = defer()
    const first = locker.withLock('a', 1000, () => release.promise)
    const second = locker.withLock('a', 10_000, once)
    const third = locker.withLock('a', 10_000, async () => {})
    release.resolve()
    await Promise.all([first, second, third])
  })

  check('gives up after the time-out, without running the work', async locker => {
    const release = defer()
    const holding = locker.withLock('a', 1000, () => release.promise)
    let ran = false
    await assert.rejects(locker.withLock('a', 20, async () => { ran = true }), LockTimeout)
    release.resolve()
    await holding
    assert.equal(ran, false)
    assert.equal(await locker.withLock('a', 1000, async () => 'free'), 'free')
  })
}

const MIB = 1024 * 1024

/** Fails the test if anybody asks it for bytes. */
const UNTOUCHABLE: UploadBody = {
  next: async () => { throw new Error('the body was touched') }
}

function makeId (): string {
  return randomBytes(16).toString('hex')
}

function makeUpload (given: Partial<NewUpload> = {}): NewUpload {
  return {
    id: makeId(),
    length: null,
    metadata: {},
    serverMetadata: {},
    echo: {},
    partial: false,
    final: false,
    parts: [],
    completes: 'at-length',
    createdAt: new Date(),
    expiresAt: null,
    ...given
  }
}

async function createUpload (storage: Storage, given: Partial<NewUpload>): Promise<NewUpload> {
  const upload = makeUpload(given)
  await storage.create(upload)
  return upload
}

/** A complete partial upload; its id. */
async function createFilled (storage: Storage, content: string | Buffer): Promise<string> {
  const bytes = Buffer.from(content)
  const { id } = await createUpload(storage, { length: bytes.length, partial: true })
  await storage.append(id, { offset: 0, keep: 'prefix', body: makeBody([[bytes]]) })
  return id
}

async function mustFind (storage: Storage, id: string) {
  const upload = await storage.find(id)
  assert.ok(upload, 'the upload is there')
  return upload
}

function append (storage: Storage, id: string, offset: number, ...texts: string[]): Promise<number> {
  return storage.append(id, { offset, keep: 'prefix', body: makeBody(texts.map(text => [Buffer.from(text)])) })
}

/** A body of these batches, which then ends or throws. */
function makeBody (batches: readonly Uint8Array[][], failure: Error | null = null, look = async () => {}): UploadBody {
  const rest = [...batches]
  return {
    async next () {
      await look()
      const batch = rest.shift() ?? null
      if (batch === null && failure !== null) throw failure
      return batch
    }
  }
}

async function readAll (storage: Storage, id: string, start = 0, end = Infinity): Promise<string> {
  return (await readBytes(storage, id, start, end)).toString()
}

async function readBytes (storage: Storage, id: string, start = 0, end = Infinity): Promise<Buffer> {
  const { offset } = await mustFind(storage, id)
  const stream = await storage.read?.(id, { start, end: Math.min(end, offset - 1) })
  assert.ok(stream, 'the upload can be read')
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function hashOf (storage: Storage, id: string): Promise<string> {
  return createHash('sha256').update(await readBytes(storage, id)).digest('hex')
}

/** Without prototypes, whose difference says nothing. */
function plain (value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

function tick (): Promise<void> {
  return new Promise(resolve => { setImmediate(resolve) })
}

function pause (milliseconds: number): Promise<void> {
  return new Promise(resolve => { setTimeout(resolve, milliseconds) })
}

function once (wanted: Wanted): Promise<void> {
  return new Promise(resolve => {
    if (wanted.requested) resolve()
    else wanted.onRequest(resolve)
  })
}

function defer (): { promise: Promise<void>, resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>(_resolve => { resolve = _resolve })
  return { promise, resolve }
}
