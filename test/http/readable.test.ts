import type { FastifyInstance } from 'fastify'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import type { TusOptions } from '../../lib/index.js'
import { makeApp } from '../support/app.js'
import { BYTES, createUpload, getPath, head, patch, post, TUS, type Headers } from '../support/http-tus.js'
import { V8 } from '../support/ietf.js'

const PARTIAL = { 'upload-concat': 'partial' }

const getId = (url: string) => url.slice('/files/'.length)

/** Everything that an answer tells, but when it was given. */
async function ask (app: FastifyInstance, url: string, headers: Headers, method: 'GET' | 'HEAD' = 'GET') {
  const { statusCode, headers: { date, ...rest }, body } = await app.inject({ method, url, headers })
  return { statusCode, headers: rest, body }
}

async function list (app: FastifyInstance, filter?: Parameters<FastifyInstance['tus']['list']>[0]): Promise<string[]> {
  const ids: string[] = []
  for await (const { id } of app.tus.list(filter)) ids.push(id)
  return ids.sort()
}

/** Partial uploads in every state; their paths. */
async function createParts (app: FastifyInstance): Promise<Readonly<Record<string, string>>> {
  const begun = await createUpload(app, { 'upload-length': '5', ...PARTIAL })
  await patch(app, begun, 0, 'he')
  return {
    'of no byte': await createUpload(app, { 'upload-length': '5', ...PARTIAL }),
    'that has begun': begun,
    'of unknown length': await createUpload(app, { 'upload-defer-length': '1', ...PARTIAL }),
    'that is complete': getPath(await post(app, { 'upload-length': '5', ...PARTIAL, ...BYTES }, 'hello')),
    'that is empty and complete': await createUpload(app, { 'upload-length': '0', ...PARTIAL })
  }
}

const REQUESTS: Readonly<Record<string, Headers>> = {
  'that says nothing': {},
  'of tus': TUS,
  'of an unknown tus': { 'tus-resumable': '9.9.9' },
  'of the draft': V8,
  'of the draft, as it is to be': { 'upload-complete': '?1' },
  'of the draft, by its type': { 'content-type': 'application/partial-upload' },
  'for a range': { range: 'bytes=0-1' },
  'for a range beyond it': { range: 'bytes=99-' },
  'for a range, if it is the same': { range: 'bytes=0-1', 'if-range': '"x"' },
  'if it is there': { 'if-match': '*' },
  'if it is another': { 'if-match': '"x"' },
  'if it has changed': { 'if-none-match': '*' },
  'if it is newer': { 'if-modified-since': new Date(Date.now() + 60_000).toUTCString() },
  'if it is older': { 'if-unmodified-since': new Date(0).toUTCString() }
}

const KINDS: Readonly<Record<string, TusOptions>> = { 'both protocols': {}, 'tus alone': { protocols: ['tus'] } }

for (const storage of ['filesystem', 'memory'] as const) {
  for (const [kind, options] of Object.entries(KINDS)) {
    for (const access of ['nobody asks', 'a hook lets in', 'a hook refuses'] as const) {
      t.test(`a GET or plain HEAD of a partial upload is answered as one of no upload: ${storage}, ${kind}, ${access}`, async t => {
        const { app } = await makeApp(t, { ...storage === 'memory' && { storage: createMemoryStorage() }, ...options })
        const parts = await createParts(app)
        const asked: string[] = []
        if (access !== 'nobody asks') {
          app.tus.addHook('preAccess', (_request, { id }) => {
            asked.push(id)
            if (access === 'a hook refuses') throw Object.assign(new Error('not yours'), { statusCode: 403 })
          })
        }
        for (const [what, headers] of Object.entries(REQUESTS)) {
          const none = await ask(app, '/files/none', headers)
          t.ok([404, 412].includes(none.statusCode), `${what}: ${none.statusCode}`)
          for (const [state, url] of Object.entries(parts)) t.strictSame(await ask(app, url, headers), none, `a GET ${what}, of one ${state}`)
          // In the words of a protocol, HEAD asks for the offset.
          if ('tus-resumable' in headers || 'upload-complete' in headers || 'content-type' in headers || headers === V8) continue
          const nothing = await ask(app, '/files/none', headers, 'HEAD')
          for (const [state, url] of Object.entries(parts)) t.strictSame(await ask(app, url, headers, 'HEAD'), nothing, `a HEAD ${what}, of one ${state}`)
        }
        t.same(asked, [])
      })
    }
  }
}

async function make (t: Test): Promise<{ readonly app: FastifyInstance, readonly parts: readonly string[], readonly whole: string, readonly final: string }> {
  const { app } = await makeApp(t)
  const parts = Object.values(await createParts(app))
  const whole = getPath(await post(app, { 'upload-length': '5', ...BYTES }, 'whole'))
  const final = getPath(await post(app, { 'upload-concat': `final;${parts[3]} ${parts[3]}` }))
  return { app, parts: parts.map(getId), whole: getId(whole), final: getId(final) }
}

t.test('app.tus.list leaves partial uploads out, unless it is asked for them', async t => {
  const { app, parts, whole, final } = await make(t)
  t.same(await list(app), [whole, final].sort())
  t.same(await list(app, { state: 'complete' }), [whole, final].sort())
  t.same(await list(app, { state: 'incomplete' }), [])
  t.same(await list(app, { partial: true }), [...parts, whole, final].sort())
  t.same(await list(app, { state: 'complete', partial: true }), [...parts.slice(3), whole, final].sort())
  t.same(await list(app, { state: 'incomplete', partial: true }), parts.slice(0, 3).sort())
})

t.test('app.tus.createReadStream reads a partial upload only if it is asked to; app.tus.find finds it', async t => {
  const { app, parts, final } = await make(t)
  for (const id of parts) {
    await t.rejects(text(app.tus.createReadStream(id)), { code: 'TUS_ERR_UPLOAD_NOT_FOUND' })
    await t.rejects(text(app.tus.createReadStream(id, { start: 0, end: 1, partial: false })), { code: 'TUS_ERR_UPLOAD_NOT_FOUND' })
    t.match(await app.tus.find(id), { id, partial: true })
  }
  for (const id of parts.slice(0, 3)) await t.rejects(text(app.tus.createReadStream(id, { partial: true })), { code: 'TUS_ERR_UPLOAD_INCOMPLETE' })
  t.equal(await text(app.tus.createReadStream(parts[3]!, { partial: true })), 'hello')
  t.equal(await text(app.tus.createReadStream(parts[3]!, { partial: true, start: 1, end: 2 })), 'el')
  t.equal(await text(app.tus.createReadStream(parts[4]!, { partial: true })), '')
  t.equal(await text(app.tus.createReadStream(final)), 'hellohello', 'what is made of parts needs no permission')
})

t.test('a client still learns where its partial upload is', async t => {
  const { app, parts } = await make(t)
  for (const [index, offset] of ['0', '2', '0', '5', '0'].entries()) {
    t.match(await head(app, `/files/${parts[index]}`), { statusCode: 200, headers: { 'upload-offset': offset, 'upload-concat': 'partial' } })
  }
})
