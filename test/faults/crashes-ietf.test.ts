import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Storage } from '../../lib/storage.js'
import type { NewUpload, Upload } from '../../lib/upload.js'
import { runMatrix, type Scenario } from '../support/crash-matrix.js'
import { makeContent, perform } from '../support/crash-operations.mjs'
import { makeUpload } from '../support/uploads.js'

// A process is killed at every step that a request of the draft makes in the file system, and the client goes on with the next process.

const END = 1003
const PATCH = { 'content-type': 'application/partial-upload', 'upload-complete': '?1' }

interface Request {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}

/** A request that completes an upload which has 3 bytes, or that creates one with all of them. */
function completing ({ method, url, headers }: Request, given: Partial<NewUpload> | null): Scenario {
  const send = (storage: Storage, offset: number, method: string, url: string, headers: Request['headers']) =>
    perform(storage, { name: 'request', method, url, offset, end: END, headers: { ...headers, ...method === 'PATCH' && { 'upload-offset': String(offset) } } }).then(() => {})
  const checkBytes = async (storage: Storage, directory: string) => {
    const upload = await storage.find('a')
    if (upload === null) return null
    const bytes = await readFile(join(directory, 'a'))
    assert.ok(bytes.subarray(0, upload.offset).equals(makeContent(upload.offset)), `the ${upload.offset} bytes are the right ones`)
    if (upload.complete) assert.equal(upload.offset, END)
    return upload
  }
  return {
    async prepare (storage) {
      if (given === null) return
      await storage.create(makeUpload({ id: 'a', length: null, completes: 'when-told', ...given }))
      await perform(storage, { name: 'append', id: 'a', offset: 0, end: 3, size: 3, keep: 'prefix' })
    },
    reads: true,
    operation: { name: 'request', method, url, offset: given === null ? 0 : 3, end: END, headers: { ...headers, ...given !== null && { 'upload-offset': '3' } } },
    async check (storage, directory) {
      const upload = await checkBytes(storage, directory)
      if (given !== null) assert.ok(upload !== null && upload.offset >= 3)
    },
    async retry (storage) {
      const upload = await storage.find('a')
      if (upload === null) return send(storage, 0, method, url, headers)
      await send(storage, upload.offset, 'PATCH', given === null ? '/files/a' : url, { ...PATCH, ...headers })
    },
    async checkEnd (storage, directory) {
      const upload = await checkBytes(storage, directory)
      assert.equal(upload?.complete, true)
      assert.equal(upload?.length, END)
      if (url.includes('documents')) assert.equal(Buffer.from(upload!.purpose!.answer!.body, 'base64').toString(), JSON.stringify({ size: END }))
    }
  }
}

const digest = `sha-256=:${createHash('sha256').update(makeContent(END)).digest('base64')}:`
const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'CN-4: an upload in one request': completing({ method: 'POST', url: '/files', headers: { 'upload-complete': '?1' } }, null),
  'AP-6: the last PATCH': completing({ method: 'PATCH', url: '/files/a', headers: PATCH }, {}),
  'XX-4, AP-10: the last PATCH of an upload with a digest, for a route of the application whose answer is kept': completing({ method: 'PATCH', url: '/documents/~post/a', headers: { ...PATCH, 'repr-digest': digest } }, { purpose: { target: 'POST /documents []', digests: {}, answer: null } })
}

for (const [name, scenario] of Object.entries(SCENARIOS)) t.test(name, t => runMatrix(t, scenario))

/** The last PATCH of an upload whose digest is verified, and which a hook looks at. */
function examining (content: Buffer): Scenario {
  const isRight = content.equals(makeContent(END))
  const digests = { sha256: createHash('sha256').update(content).digest('base64') }
  const patch = (offset: number) => ({
    name: 'request', method: 'PATCH', url: '/files/a', offset, end: END, looks: true, status: 400, headers: { ...PATCH, 'upload-offset': String(offset) }
  })
  const checkLook = async (upload: Upload | null, directory: string) => {
    const looked = await readFile(join(directory, '.looked')).catch(() => null)
    if (!isRight) assert.deepEqual([upload?.complete ?? false, looked], [false, null], 'what is wrong is never complete, and never looked at')
    // After a crash it is looked at once more.
    if (upload?.complete) assert.ok(looked !== null && looked.length >= END && looked.subarray(0, END).equals(makeContent(END)), 'what is complete was looked at')
  }
  return {
    async prepare (storage) {
      await storage.create(makeUpload({ id: 'a', length: END, completes: 'when-told', purpose: { target: null, answer: null, digests } }))
      await perform(storage, { name: 'append', id: 'a', offset: 0, end: 3, size: 3, keep: 'prefix' })
    },
    reads: true,
    operation: patch(3),
    check: async (storage, directory) => checkLook(await storage.find('a'), directory),
    async retry (storage, directory) {
      const upload = await storage.find('a')
      if (upload !== null) await perform(storage, patch(upload.offset), undefined, directory)
    },
    async checkEnd (storage, directory) {
      const upload = await storage.find('a')
      await checkLook(upload, directory)
      if (isRight) assert.deepEqual([upload?.complete, upload?.finished, upload?.purpose?.verified], [true, true, true])
      else assert.equal(upload, null)
    }
  }
}

t.test('an upload whose digest is verified, and which a hook looks at, before it is complete', async t => {
  await t.test('if it is right', t => runMatrix(t, examining(makeContent(END))))
  await t.test('if it is wrong', t => runMatrix(t, examining(makeContent(END - 1))))
})
