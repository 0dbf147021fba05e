import { ListObjectsV2Command } from '@aws-sdk/client-s3'
import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import type { Storage } from '../../lib/storage.js'
import { until } from '../support/http-tus.js'
import { append, makeBody, readAll, setUp } from '../support/s3/storages.js'

// A writer that was overtaken finds that out, whatever its process learns of the upload meanwhile.

async function createUpload (storage: Storage): Promise<string> {
  const id = randomUUID()
  await storage.create({ id, length: 100, metadata: {}, serverMetadata: {}, echo: {}, partial: false, final: false, parts: [], completes: 'at-length', createdAt: new Date(), expiresAt: null })
  return id
}

/** An append that has taken in its bytes, and waits for more. */
function appendSlowly (storage: Storage, id: string, offset: number, bytes: string) {
  let end = () => {}
  const more = new Promise<void>(resolve => { end = resolve })
  const appended = storage.append(id, { offset, keep: 'prefix', body: makeBody(Buffer.from(bytes), { more }) }).then(offset => ({ offset }), (error: Error) => ({ error }))
  return { end: () => end(), appended }
}

async function testOvertaken (t: Test, meanwhile: (slow: Storage, id: string) => Promise<unknown>): Promise<void> {
  const machines = await setUp(t)
  const [slow, fast] = [(await machines.open()).storage, (await machines.open()).storage]
  const id = await createUpload(slow)
  await append(slow, id, 0, 'begin')
  const { end, appended } = appendSlowly(slow, id, 5, 'ABC')
  t.equal(await append(fast, id, 5, 'abcdef'), 11)
  await meanwhile(slow, id)
  end()
  t.match(await appended, { error: { name: 'OffsetConflict', offset: 11 } })
  for (const storage of [slow, fast]) t.equal((await storage.find(id, { settled: true }))?.offset, 11, 'what was acknowledged is there')
  await append(fast, id, 11, 'x'.repeat(89))
  await fast.complete(id)
  t.equal(String(await readAll(slow, id)), `beginabcdef${'x'.repeat(89)}`)
}

t.test('nothing else happens in its process', t => testOvertaken(t, async () => {}))

// A HEAD looks for the upload before it waits for its lock. That look used to bring the writer up to date, whose bytes then went over those of the other.
t.test('its process is asked where the upload is', t => testOvertaken(t, (slow, id) => slow.find(id)))

t.test('its process changes the record', t => testOvertaken(t, (slow, id) => slow.update(id, () => ({ serverMetadata: { a: 1 } }))))

t.test('its process lists all uploads', t => testOvertaken(t, async slow => { for await (const upload of slow.list!()) t.ok(upload.id) }))

t.test('a writer whose process looks at the upload while it writes goes on', async t => {
  const { storage } = await (await setUp(t)).open()
  const id = await createUpload(storage)
  for (let offset = 0; offset < 100; offset += 10) {
    const [end] = await Promise.all([append(storage, id, offset, 'x'.repeat(10)), ...Array.from({ length: 4 }, () => storage.find(id))])
    t.equal(end, offset + 10)
  }
})

// The pieces that it would have put together are gone by then, which used to look as if somebody had removed the upload.
t.test('a writer whose upload was completed by another one is told where it ends, and not that it is gone', async t => {
  const machines = await setUp(t)
  const [slow, fast] = [(await machines.open()).storage, (await machines.open()).storage]
  const id = await createUpload(fast)
  await append(fast, id, 0, 'begin')
  const { end, appended } = appendSlowly(slow, id, 5, 'X'.repeat(95))
  t.equal(await append(fast, id, 5, 'x'.repeat(95)), 100)
  await until('the pieces are gone', async () => {
    const { Contents = [] } = await machines.client.send(new ListObjectsV2Command({ Bucket: machines.bucket }))
    return !Contents.some(({ Key }) => Key!.endsWith('.pending'))
  })
  end()
  t.match(await appended, { error: { name: 'OffsetConflict', offset: 100 } })
  t.equal(String(await readAll(slow, id)), `begin${'x'.repeat(95)}`)
})
