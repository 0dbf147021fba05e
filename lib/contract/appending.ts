import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { OffsetConflict, UploadMissing, type UploadBody } from '../storage.js'
import type { Check, Reopen } from './check.js'
import { MIB, UNTOUCHABLE, append, createUpload, hashOf, makeBody, makeId, mustFind, pause, readAll, readBytes } from './uploads.js'

/** Bytes that arrive. */
export function testAppending (check: Check, reopen?: Reopen): void {
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

  check('append: an empty batch is not the end of a body', async storage => {
    const { id } = await createUpload(storage, { length: 100 })
    const told: number[] = []
    const body = makeBody([[Buffer.from('abc')], [], [], [Buffer.from('def')], []], null, () => pause(5))
    assert.equal(await storage.append(id, { offset: 0, keep: 'prefix', body, onProgress: offset => told.push(offset), progressInterval: 1 }), 6)
    assert.ok(told.every(offset => offset === 3 || offset === 6), `told ${told}`)
    assert.equal(await readAll(storage, id), 'abcdef')
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
}
