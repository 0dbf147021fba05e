import type { ContainerClient } from '@azure/storage-blob'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { createAzureStorage, type AzureStorageOptions } from '../../adapters/azure/index.js'
import { chooseBlockSize } from '../../adapters/azure/block-size.js'
import { countFoldable } from '../../adapters/azure/fold.js'
import { OffsetConflict, StorageUnavailable, UploadExists, UploadMissing } from '../../lib/storage.js'
import { createGate, makeBytes, sleep, until } from '../support/http-tus.js'
import { skip } from '../support/azure/azurite.js'
import { PREFIX, setUp, type Machines } from '../support/azure/storages.js'
import { append, makeBody, MIB, readAll } from '../support/s3/storages.js'
import { makeUpload } from '../support/uploads.js'

const CONTENT = makeBytes(8 * MIB)

t.test('options: what can not work is refused by name', async t => {
  const container = { getBlockBlobClient () {} } as unknown as ContainerClient
  for (const [name, value] of Object.entries({
    container: {}, prefix: '/x', blockSize: 1000, memoryBudget: 15 * MIB, concurrency: 0, commitInterval: 0, requestTimeout: 0, blobOptions: 'x'
  })) {
    const options = { container, [name]: value } as unknown as AzureStorageOptions
    t.throws(() => createAzureStorage(options), { name: 'TypeError', message: new RegExp(`'${name}'`) })
  }
  t.ok(createAzureStorage({ container }))
})

t.test('blocks grow with the length, so that 50 000 are enough for the largest upload', async t => {
  const plan = { count: 0, least: 8 * MIB, most: Infinity }
  t.equal(chooseBlockSize({ ...plan, length: 100 * 1024 * MIB }), 8 * MIB)
  for (const length of [1024 ** 4, 50 * 1024 ** 4]) t.ok(length / chooseBlockSize({ ...plan, length }) <= 20_000)
  let [offset, count] = [0, 0]
  for (; count < 50_000; count++) offset += chooseBlockSize({ ...plan, length: null, count })
  t.ok(offset > 40 * 1024 ** 4, 'also where nobody knows the length')
})

t.test('small bodies never use up the blocks, and no byte is moved often', async t => {
  for (const sizes of [[1], [1000], [1, 100_000], [300_000, 7, 7, 7], [CONTENT.length, 3]]) {
    let blocks: Array<{ id: string, size: number }> = []
    let [moved, total, most] = [0, 0, 0]
    for (let count = 0; count < 20_000; count++) {
      const foldable = countFoldable(blocks, CONTENT.length)
      const size = blocks.slice(blocks.length - foldable).reduce((sum, { size }) => sum + size, 0)
      if (foldable > 0) blocks = [...blocks.slice(0, -foldable), { id: '', size }]
      moved += size
      total += sizes[count % sizes.length]!
      blocks.push({ id: '', size: sizes[count % sizes.length]! })
      most = Math.max(most, blocks.length - 2 * total / CONTENT.length)
    }
    t.ok(most < 400, `${sizes}: ${most} blocks more than those of full size`)
    t.ok(moved <= 8 * total, `${sizes}: ${moved} bytes were moved of ${total}`)
  }
})

t.test('in a container', { skip }, async t => {
  const machines: Machines = await setUp(t)

  const create = async ({ storage }: Pick<Awaited<ReturnType<Machines['open']>>, 'storage'>, given: Parameters<typeof makeUpload>[0]) => {
    const upload = makeUpload(given)
    await storage.create(upload)
    return upload.id
  }

  t.test('a container that is not there is refused at the start; a server that is away is unavailable', async t => {
    const one = await machines.open()
    await one.storage.open!()
    one.proxy.intercept = () => ({ when: 'before', what: 404, code: 'ContainerNotFound' })
    await t.rejects(one.storage.open!(), { message: /404: ContainerNotFound/, statusCode: undefined })
    await t.rejects(one.storage.find('a'), { message: /404: ContainerNotFound/ }, 'which does not mean that an upload is gone')
    for (const what of [500, 503, 429, 'reset'] as const) {
      one.proxy.intercept = () => ({ when: 'before', what })
      await t.rejects(one.storage.find('a'), StorageUnavailable)
      await t.rejects(one.storage.create(makeUpload()), StorageUnavailable)
    }
    const hasty = await machines.open({ requestTimeout: 1 })
    hasty.proxy.intercept = () => ({ when: 'before', what: 'silence' })
    await t.rejects(hasty.storage.find('a'), StorageUnavailable, 'one that says nothing is not waited for')
    one.proxy.intercept = () => ({ when: 'before', what: 403, code: 'AuthorizationFailure' })
    await t.rejects(one.storage.find('a'), { name: 'Refusal', statusCode: undefined }, 'whose status is not meant for the client')
    for (const [what, code] of [[403, 'AuthenticationFailed'], [401, 'InvalidAuthenticationInfo']] as const) {
      one.proxy.intercept = () => ({ when: 'before', what, code })
      await t.rejects(one.storage.create(makeUpload()), StorageUnavailable, `${code}: credentials that expired`)
    }
  })

  t.test('the blob has the type, the headers, the metadata and the tags that the application wants, and the client gets its bytes', async t => {
    const one = await machines.open({ blobOptions: ({ metadata }) => ({ blobHTTPHeaders: { blobContentType: 'text/x-test', blobCacheControl: 'no-store' }, metadata: { owner: metadata.owner! }, tags: { kind: 'upload' } }) })
    for (const size of [10, 9 * MIB]) {
      const id = await create(one, { length: size, completes: 'by-mark', metadata: { owner: 'me' } })
      await append(one.storage, id, 0, CONTENT.subarray(0, Math.min(size, 3)))
      await append(one.storage, id, 3, Buffer.concat([CONTENT, CONTENT]).subarray(3, size))
      await one.storage.complete(id)
      const blob = machines.container.getBlobClient(PREFIX + id)
      const { contentType, cacheControl, metadata, contentLength } = await blob.getProperties()
      t.strictSame([contentType, cacheControl, metadata?.owner, contentLength], ['text/x-test', 'no-store', 'me', size])
      t.strictSame((await blob.getTags()).tags, { kind: 'upload' })
    }
    const plain = await machines.open()
    for (const [metadata, type, disposition] of [
      [{ filetype: 'image/png', filename: 'a.png' }, 'image/png', 'attachment; filename="a.png"'], [{ filetype: 'text/html' }, 'application/octet-stream', 'attachment']
    ] as const) {
      const id = await create(plain, { length: 1, metadata })
      const { contentType, contentDisposition } = await machines.container.getBlobClient(PREFIX + id).getProperties()
      t.strictSame([contentType, contentDisposition], [type, disposition])
    }
  })

  t.test('requests: 3 for a small upload, 2 for a PATCH of the same process, no byte read', async t => {
    const one = await machines.open({ blockSize: MIB })
    one.proxy.reset()
    const small = await create(one, { length: 10 })
    await one.storage.find(small, { appendAt: 0 })
    await append(one.storage, small, 0, '0123456789')
    t.equal(one.proxy.calls.length, 3)
    const large = await create(one, { length: 4 * MIB })
    for (let offset = 0; offset < 4 * MIB; offset += MIB) {
      one.proxy.reset()
      await one.storage.find(large, { appendAt: offset })
      await append(one.storage, large, offset, CONTENT.subarray(offset, offset + MIB))
      t.equal(one.proxy.calls.length, 2)
    }
    const other = await machines.open({ blockSize: MIB })
    t.ok((await readAll(other.storage, large))!.equals(CONTENT.subarray(0, 4 * MIB)))
  })

  t.test('100 bodies of some bytes become few blocks, byte for byte', async t => {
    const processes = [await machines.open({ blockSize: 65536 }), await machines.open({ blockSize: 65536 })]
    const id = await create(processes[0]!, { length: 10_000 })
    for (let count = 0; count < 100; count++) {
      const { storage } = processes[count % 50 === 49 ? 1 : 0]!
      t.equal(await append(storage, id, count * 100, CONTENT.subarray(count * 100, (count + 1) * 100)), (count + 1) * 100)
    }
    t.ok((await readAll(processes[0]!.storage, id))!.equals(CONTENT.subarray(0, 10_000)))
    const { committedBlocks } = await machines.container.getBlockBlobClient(PREFIX + id).getBlockList('committed')
    t.ok(committedBlocks!.length <= 64, `${committedBlocks!.length} blocks`)
  })

  t.test('a writer that was overtaken adds nothing, whatever it has already sent', async t => {
    const [one, two] = [await machines.open({ blockSize: MIB }), await machines.open({ blockSize: MIB })]
    for (const keep of ['prefix', 'all-or-nothing'] as const) {
      const id = await create(one, { length: 8 * MIB })
      await append(one.storage, id, 0, CONTENT.subarray(0, MIB))
      const gate = createGate()
      one.proxy.reset()
      const late = one.storage.append(id, { offset: MIB, keep, body: makeBody(Buffer.alloc(4 * MIB), { more: gate.passed }) })
      await until('blocks have arrived', () => one.proxy.calls.length >= 3)
      t.equal((await two.storage.find(id, { settled: true }))?.offset, MIB)
      gate.open()
      await t.rejects(late, OffsetConflict)
      t.equal(await append(two.storage, id, MIB, CONTENT.subarray(MIB)), 8 * MIB)
      await t.rejects(append(one.storage, id, MIB, 'xyz'), { name: 'OffsetConflict', offset: 8 * MIB })
      t.ok((await readAll(one.storage, id))!.equals(CONTENT), keep)
    }
  })

  t.test('a writer whose upload is removed meanwhile brings nothing of it back, nor harms a new one of that id', async t => {
    const [one, two] = [await machines.open({ blockSize: MIB }), await machines.open({ blockSize: MIB })]
    const id = await create(one, { length: 8 * MIB })
    await append(one.storage, id, 0, CONTENT.subarray(0, MIB))
    for (const again of [false, true]) {
      const gate = createGate()
      one.proxy.reset()
      const late = one.storage.append(id, { offset: again ? 0 : MIB, keep: 'prefix', body: makeBody(Buffer.alloc(2 * MIB), { more: gate.passed }) })
      await until('the append has begun', () => one.proxy.calls.length >= 1)
      await two.storage.remove(id)
      if (!again) await two.storage.create(makeUpload({ id, length: 3 }))
      gate.open()
      await t.rejects(late, again ? UploadMissing : /./)
      t.equal((await two.storage.find(id))?.offset, again ? undefined : 0)
    }
    t.strictSame((await machines.listNames()).filter(name => name.startsWith(id)), [])
  })

  t.test('of many that append at one place, one wins', async t => {
    const processes = await Promise.all([1, 2, 3, 4].map(() => machines.open({ blockSize: MIB })))
    const id = await create(processes[0]!, { length: null })
    for (let round = 0, offset = 0; round < 5; round++, offset += 5) {
      const outcomes = await Promise.allSettled(processes.map(({ storage }, index) => append(storage, id, offset, `${round}${index}abc`)))
      const winners = outcomes.flatMap(({ status }, index) => status === 'fulfilled' ? [index] : [])
      t.equal(winners.length, 1)
      for (const outcome of outcomes) if (outcome.status === 'rejected') t.ok(outcome.reason instanceof OffsetConflict, String(outcome.reason))
      t.equal(String(await readAll(processes[0]!.storage, id)).slice(offset), `${round}${winners[0]}abc`)
    }
  })

  t.test('a length that is set while another process appends, is kept', async t => {
    const [one, two] = [await machines.open({ blockSize: MIB }), await machines.open({ blockSize: MIB })]
    const id = await create(one, { length: null })
    const gate = createGate()
    one.proxy.reset()
    const late = one.storage.append(id, { offset: 0, keep: 'prefix', body: makeBody(CONTENT.subarray(0, 2 * MIB), { more: gate.passed }) })
    await until('a block has arrived', () => one.proxy.calls.length >= 1)
    await two.storage.setLength(id, 3)
    gate.open()
    await t.rejects(late, OffsetConflict)
    await append(one.storage, id, 0, 'abc')
    t.match(await two.storage.find(id), { length: 3, offset: 3, complete: true })
  })

  t.test('two processes put one final upload together at the same time: both come to the end, and who is always overtaken hears that it may come again', async t => {
    const [one, two] = [await machines.open({ blockSize: MIB }), await machines.open({ blockSize: MIB })]
    const parts = [await create(one, { length: 3, partial: true }), await create(one, { length: 3, partial: true })]
    for (const part of parts) await append(one.storage, part, 0, 'abc')
    const id = await create(one, { length: 6, final: true, parts })
    const isCommit = ({ method, key }: { method: string, key: string }) => method === 'PUT' && key.endsWith(id)
    let ahead: () => Promise<unknown> = async () => (await machines.open()).storage.find(id, { settled: true })
    one.proxy.intercept = async call => {
      if (isCommit(call)) await ahead()
      return null
    }
    await t.rejects(one.storage.concatenate!(id, parts), StorageUnavailable)
    t.match(await two.storage.find(id), { offset: 0, complete: false })
    ahead = () => two.storage.concatenate!(id, parts)
    t.equal(await one.storage.concatenate!(id, parts), 6)
    t.equal(String(await readAll(two.storage, id)), 'abcabc')
  })

  t.test('updates of several processes do not get lost, and the finish mark is set once', async t => {
    const processes = await Promise.all([1, 2, 3, 4].map(() => machines.open()))
    const id = await create(processes[0]!, { length: 3, serverMetadata: { count: 0 } })
    await Promise.all(processes.map(({ storage }) => storage.update(id, ({ serverMetadata }) => ({ serverMetadata: { count: Number(serverMetadata.count) + 1 } }))))
    t.strictSame((await processes[0]!.storage.find(id))?.serverMetadata, { count: 4 })
    let finished = 0
    await Promise.all(processes.map(async ({ storage }) => {
      let mine = false
      await storage.update(id, upload => {
        mine = !upload.finished
        return mine ? { finished: true } : null
      })
      if (mine) finished++
    }))
    t.equal(finished, 1)
  })

  t.test('of many that claim an upload, one gets it; renewed it lasts, and released it is free', async t => {
    const processes = await Promise.all([1, 2, 3, 4].map(() => machines.open()))
    const id = await create(processes[0]!, { length: 0 })
    const leases = await Promise.all(processes.map(({ storage }) => storage.claim!(id, 60_000)))
    const won = leases.filter(lease => lease !== null)
    t.equal(won.length, 1)
    t.equal(await won[0]!.renew(), true)
    await won[0]!.release()
    const next = await processes[1]!.storage.claim!(id, 1)
    t.ok(next)
    await until('it has run out', async () => await processes[2]!.storage.claim!(id, 60_000) !== null)
    t.equal(await next!.renew(), false)
  })

  t.test('memory that is short is freed by sending earlier, and a slow body is committed in time', async t => {
    const short = await machines.open({ blockSize: MIB, memoryBudget: 2 * MIB })
    const ids = await Promise.all([1, 2, 3, 4].map(() => create(short, { length: 3 * MIB })))
    await Promise.all(ids.map(id => append(short.storage, id, 0, CONTENT.subarray(0, 3 * MIB))))
    for (const id of ids) t.ok((await readAll(short.storage, id))!.equals(CONTENT.subarray(0, 3 * MIB)))

    const one = await machines.open({ blockSize: MIB, commitInterval: 1 })
    const id = await create(one, { length: 8 * MIB })
    const gate = createGate()
    const told: number[] = []
    let sent = 0
    const body = {
      /** Pieces that are further apart than the interval; the last one waits. */
      async next () {
        if (sent === 2 * MIB) return null
        await sleep(5)
        const piece = CONTENT.subarray(sent, sent + MIB / 4)
        sent += piece.length
        if (sent === 2 * MIB) await gate.passed
        return [piece]
      }
    }
    const slow = one.storage.append(id, { offset: 0, keep: 'prefix', body, onProgress: offset => told.push(offset), progressInterval: 1 })
    await until('it is told', () => told.length > 0)
    t.ok((await one.storage.find(id))!.offset >= told[0]!)
    gate.open()
    t.equal(await slow, 2 * MIB)
  })

  t.test('tidy removes what crashes left, and nothing of anybody else', async t => {
    const [one, two] = [await machines.open(), await machines.open()]
    const id = await create(one, { length: 3 })
    await append(one.storage, id, 0, 'ab')
    const foreign = ['file', 'data.json', 'page.info', 'x.pending'].map(name => PREFIX + name)
    for (const name of foreign) await machines.container.getBlockBlobClient(name).upload('{}', 2)

    const before = await machines.listNames()
    one.proxy.reset()
    one.proxy.intercept = ({ number }) => number >= 2 ? { when: 'before', what: 'reset' } : null
    await t.rejects(one.storage.create(makeUpload({ length: 3 })), 'dies after the bytes')
    one.proxy.intercept = () => null
    const removed = await create(one, { length: 3 })
    await one.storage.addWaiting!(removed, id)
    one.proxy.reset()
    one.proxy.intercept = ({ number }) => number > 4 ? { when: 'before', what: 'reset' } : null
    await t.rejects(one.storage.remove(removed), 'dies after the bytes, too')
    one.proxy.intercept = () => null
    t.equal(await two.storage.find(removed), null)
    t.ok((await machines.listNames()).length > before.length)
    t.equal(await two.storage.tidy!(new Date(Date.now() - 60_000)), 0, 'what is young may still be going on')
    await two.storage.tidy!(new Date(Date.now() + 60_000))
    t.strictSame(await machines.listNames(), before)
    t.equal(await append(one.storage, id, 2, 'c'), 3)
    t.equal(await text((await two.storage.read!(id, { start: 0, end: 2 }))!), 'abc')
  })

  t.test('a name that somebody else has is never written over', async t => {
    const one = await machines.open()
    await machines.container.getBlockBlobClient(`${PREFIX}taken`).upload('theirs', 6)
    await t.rejects(one.storage.create(makeUpload({ id: 'taken', length: 3 })), UploadExists)
    await one.storage.remove('taken')
    t.equal(await one.storage.find('taken'), null)
    t.equal(String(await machines.container.getBlobClient(`${PREFIX}taken`).downloadToBuffer()), 'theirs')
  })
})
