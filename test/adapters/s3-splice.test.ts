import assert from 'node:assert/strict'
import t from 'tap'
import { createGate, makeBytes, until } from '../support/http-tus.js'
import type { Fault } from '../support/s3/proxy.js'
import { append, makeBody, MIB, readAll, setUp, type Machines, type Process } from '../support/s3/storages.js'
import { makeUpload } from '../support/uploads.js'

// Strays, which Ceph does not leave out of an object, are cut out of it. The k-th request of that fails, for every k, and another process goes on.

const CONTENT = makeBytes(12 * MIB)

/** An upload that lacks its last 2 MiB, among whose parts there is a stray: one that a writer sent after it was fenced off. */
async function makeStray (machines: Machines, two: Process): Promise<string> {
  const one = await machines.open()
  const upload = makeUpload({ length: CONTENT.length })
  await one.storage.create(upload)
  const [arrived, released, end] = [createGate(), createGate(), createGate()]
  let parts = 0
  one.proxy.intercept = async ({ operation }) => {
    if (operation === 'UploadPart' && ++parts === 2) await released.passed
    return null
  }
  one.proxy.onAnswer = ({ operation }) => { if (operation === 'UploadPart') arrived.open() }
  const overtaken = one.storage.append(upload.id, { offset: 0, keep: 'prefix', body: makeBody(CONTENT.subarray(0, 10 * MIB), { more: end.passed }) })
  overtaken.catch(() => {})
  await arrived.passed
  await until('the second part is on its way', () => parts === 2)
  assert.equal((await two.storage.find(upload.id, { settled: true }))?.offset, 5 * MIB)
  await append(two.storage, upload.id, 5 * MIB, CONTENT.subarray(5 * MIB, 10 * MIB))
  released.open()
  end.open()
  await assert.rejects(overtaken, { name: 'OffsetConflict' })
  return upload.id
}

/** As a client does: asks where the upload is, and sends the rest. */
async function goOn ({ storage }: Process, id: string): Promise<void> {
  const found = await storage.find(id, { settled: true })
  assert.ok(found!.offset >= 10 * MIB, `${found!.offset} bytes are left`)
  if (found!.offset < CONTENT.length) await append(storage, id, found!.offset, CONTENT.subarray(found!.offset))
  else if (!found!.complete) await storage.complete(id)
  assert.ok((await readAll(storage, id))?.equals(CONTENT), 'byte for byte')
}

for (const { what, died } of [{ what: 'reset', died: true }, { what: 500, died: false }] as const) {
  for (const when of ['before', 'after'] as const) {
    t.test(`a stray is cut out, though the k-th request ${died ? `is the last of its process (${when})` : `is answered with 500 ${when} it is carried out`}`, async t => {
      const machines = await setUp(t, 'ceph')
      const seen = new Set<string>()
      for (let k = 1; ; k++) {
        const [two, three] = [await machines.open(), await machines.open()]
        const id = await makeStray(machines, two)
        two.proxy.reset()
        two.proxy.intercept = ({ number, operation }): Fault | null => {
          if (number === k) seen.add(operation)
          return number === k || (died && number > k) ? { when: number > k ? 'before' : when, what } : null
        }
        await append(two.storage, id, 10 * MIB, CONTENT.subarray(10 * MIB)).catch(() => {})
        const enough = two.proxy.calls.length < k
        if (!died) two.proxy.intercept = () => null
        await goOn(died ? three : two, id)
        t.pass(`request ${k}`)
        if (enough) break
      }
      const steps = ['UploadPart', 'CompleteMultipartUpload', 'ListParts', 'PutObject', 'CreateMultipartUpload', 'UploadPartCopy']
      t.strictSame(steps.filter(operation => !seen.has(operation)), [], 'each of its steps has failed')
    })
  }
}
