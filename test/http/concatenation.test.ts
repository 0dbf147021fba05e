import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import type { TusOptions } from '../../lib/index.js'
import { makeApp } from '../support/app.js'
import { BYTES, createComplete, createUpload, encodeMetadata, getOffset, getPath, head, makeBytes, patch, post, terminate, until } from '../support/http-tus.js'

const PARTIAL = { 'upload-concat': 'partial' }

/** A complete partial upload; its path. */
async function createPart (app: FastifyInstance, content: string | Buffer, headers: Record<string, string> = {}): Promise<string> {
  const url = await createUpload(app, { 'upload-length': String(Buffer.byteLength(content)), ...PARTIAL, ...headers })
  if (content.length > 0) await patch(app, url, 0, content)
  return url
}

const join = (app: FastifyInstance, urls: readonly string[], headers: Record<string, string> = {}) =>
  post(app, { 'upload-concat': `final;${urls.join(' ')}`, ...headers })

const getId = (url: string) => url.slice('/files/'.length)

for (const kind of ['filesystem', 'memory'] as const) {
  const make = async (t: Test, options: TusOptions = {}) =>
    (await makeApp(t, { ...kind === 'memory' && { storage: createMemoryStorage() }, ...options })).app

  t.test(kind, async t => {
    t.test('CC-1, CF-1: OPTIONS tells both extensions, where they are on', async t => {
      const list = async (options: TusOptions) =>
        String((await (await make(t, options)).inject({ method: 'OPTIONS', url: '/files' })).headers['tus-extension']).split(',').filter(name => name.startsWith('concat'))
      t.strictSame(await list({}), ['concatenation', 'concatenation-unfinished'])
      t.strictSame(await list({ extensions: ['creation', 'concatenation'] }), ['concatenation'])
      const app = await make(t, { extensions: ['creation'] })
      t.equal((await post(app, { 'upload-length': '5', ...PARTIAL })).statusCode, 400)
      t.equal((await post(app, { 'upload-concat': 'final;/files/a' })).statusCode, 400)
    })

    t.test('CC-2, CC-14, CC-16: a partial upload is created and filled like any other, and HEAD tells what it is', async t => {
      const app = await make(t)
      const urls = [
        await createPart(app, 'hello'),
        getPath(await post(app, { 'upload-length': '5', ...PARTIAL, ...BYTES }, 'hello')),
        await createUpload(app, { 'upload-defer-length': '1', ...PARTIAL })
      ]
      t.equal((await patch(app, urls[2]!, 0, 'hello', { 'upload-length': '5' })).statusCode, 204)
      for (const url of urls) t.match(await head(app, url), { statusCode: 200, headers: { 'upload-concat': 'partial', 'upload-offset': '5', 'upload-length': '5' } })
      t.equal((await post(app, PARTIAL)).statusCode, 400, 'it needs a length')
    })

    t.test('CC-3: no hook finishes a partial upload; the final one is finished once', async t => {
      const app = await make(t)
      const finished: string[] = []
      app.tus.addHook('preFinish', (_request, { id }) => { finished.push(`pre ${id}`) })
      app.tus.addHook('postFinish', (_request, { id }) => { finished.push(`post ${id}`) })
      const parts = [await createPart(app, 'hello '), await createPart(app, 'world')]
      t.strictSame(finished, [])
      const final = getPath(await join(app, parts))
      await head(app, final)
      await app.tus.sweep()
      t.strictSame(finished, [`pre ${getId(final)}`, `post ${getId(final)}`])
    })

    t.test('CC-4, CC-5, CC-9, CC-13, CC-15, CC-16: the bytes in the order of the list, each as often as it is named', async t => {
      const app = await make(t)
      const [a, b, c] = [await createPart(app, 'aaa'), await createPart(app, 'bb'), await createPart(app, 'c')]
      for (const [list, expected] of [[[a, b, c], 'aaabbc'], [[c, b, a], 'cbbaaa'], [[b, b, a, b], 'bbbbaaabb'], [[c], 'c']] as const) {
        const created = await join(app, list)
        t.equal(created.statusCode, 201)
        const told = await head(app, getPath(created))
        const length = String(expected.length)
        t.match(told.headers, { 'upload-offset': length, 'upload-length': length, 'upload-concat': `final;${list.join(' ')}` })
        t.equal((await app.inject(getPath(created))).body, expected)
      }
      t.equal(await getOffset(app, a), '3', 'and the parts are still there')
    })

    t.test('CC-5: large parts, byte for byte', async t => {
      const app = await make(t)
      const content = makeBytes(7_000_001)
      const cuts = [0, 1, 2_500_000, 2_500_000, 6_999_999, content.length]
      const parts: string[] = []
      for (const [index, end] of cuts.slice(1).entries()) parts.push(await createPart(app, content.subarray(cuts[index], end)))
      t.ok((await app.inject(getPath(await join(app, parts)))).rawPayload.equals(content))
    })

    t.test('CC-5: parts without a byte, and nothing but those', async t => {
      const app = await make(t)
      const empty = await createPart(app, '')
      t.equal((await app.inject(getPath(await join(app, [empty, await createPart(app, 'x'), empty])))).body, 'x')
      const nothing = getPath(await join(app, [empty, empty]))
      t.match((await head(app, nothing)).headers, { 'upload-offset': '0', 'upload-length': '0' })
      t.match(await app.inject(nothing), { statusCode: 200, body: '' })
    })

    t.test('CC-5, CC-9: 1500 parts', async t => {
      const app = await make(t)
      const parts = await Promise.all(Array.from({ length: 10 }, (_, index) => createPart(app, String(index))))
      const created = await join(app, Array.from({ length: 1500 }, (_, index) => parts[index % 10]!))
      t.equal(created.statusCode, 201)
      t.equal((await app.inject(getPath(created))).body, '0123456789'.repeat(150))
    })

    t.test('CC-6: a final upload with a length of its own is 400', async t => {
      const app = await make(t)
      const part = await createPart(app, 'hello')
      t.equal((await join(app, [part], { 'upload-length': '5' })).statusCode, 400)
      t.equal((await join(app, [part], { 'upload-defer-length': '1' })).statusCode, 400)
      t.equal((await post(app, { 'upload-concat': `final;${part}`, ...BYTES }, 'hello')).statusCode, 403, 'and bytes are not for it')
    })

    t.test('CC-7: the metadata of the parts are not those of the final upload', async t => {
      const app = await make(t)
      const parts = [await createPart(app, 'a', { 'upload-metadata': encodeMetadata({ filename: 'part', owner: 'x' }) }), await createPart(app, 'b')]
      const named = await head(app, getPath(await join(app, parts, { 'upload-metadata': encodeMetadata({ filename: 'whole' }) })))
      t.equal(named.headers['upload-metadata'], encodeMetadata({ filename: 'whole' }))
      const nameless = getPath(await join(app, parts))
      t.notOk('upload-metadata' in (await head(app, nameless)).headers)
      t.same((await app.tus.find(getId(nameless)))?.metadata, {})
    })

    t.test('CC-8: the parts may be removed afterwards, the final upload stays', async t => {
      const app = await make(t)
      const parts = [await createPart(app, 'hello '), await createPart(app, 'world')]
      const final = getPath(await join(app, parts))
      for (const part of parts) t.equal((await terminate(app, part)).statusCode, 204)
      t.equal((await app.inject(final)).body, 'hello world')
      t.equal((await join(app, parts)).statusCode, 400)
      t.equal((await terminate(app, final)).statusCode, 204)
    })

    t.test('CC-10, CC-11: a PATCH on a final upload is 403 and changes nothing, whether it is complete or waits', async t => {
      const app = await make(t)
      const part = await createPart(app, 'hello')
      const open = await createUpload(app, { 'upload-length': '5', ...PARTIAL })
      for (const final of [getPath(await join(app, [part])), getPath(await join(app, [part, open]))]) {
        const before = (await head(app, final)).headers
        for (const offset of [0, 5, 10]) {
          const refused = await patch(app, final, offset, 'hello', { 'upload-checksum': 'crc32 NhCmhg==' })
          t.equal(refused.statusCode, 403)
        }
        t.equal((await patch(app, final, 0, '', { 'upload-length': '5' })).statusCode, 403)
        const { 'upload-offset': offset, 'upload-length': length } = (await head(app, final)).headers
        t.strictSame([offset, length], [before['upload-offset'], before['upload-length']])
      }
      t.strictSame([await getOffset(app, part), await getOffset(app, open)], ['5', '0'])
    })

    t.test('CC-12, CC-13, CC-15, CF-2: without all parts HEAD tells no offset, and the length if it can be known', async t => {
      const app = await make(t)
      const [known, unknown] = [await createUpload(app, { 'upload-length': '5', ...PARTIAL }), await createUpload(app, { 'upload-defer-length': '1', ...PARTIAL })]
      const finals = [getPath(await join(app, [known, known])), getPath(await join(app, [known, unknown]))]
      const told = await Promise.all(finals.map(final => head(app, final)))
      for (const [index, { statusCode, headers }] of told.entries()) {
        t.equal(statusCode, 200)
        t.notOk('upload-offset' in headers)
        t.notOk('upload-defer-length' in headers, 'no client can tell the length of a final upload')
        t.equal(headers['upload-length'], ['10', undefined][index])
        t.equal((await app.inject(finals[index]!)).statusCode, 404)
      }
      await patch(app, known, 0, 'hello')
      await until('the first is made', async () => await getOffset(app, finals[0]!) === '10')
      t.notOk('upload-offset' in (await head(app, finals[1]!)).headers)
      await patch(app, unknown, 0, ' world', { 'upload-length': '6' })
      t.match((await head(app, finals[1]!)).headers, { 'upload-offset': '11', 'upload-length': '11' })
      t.equal((await app.inject(finals[1]!)).body, 'hello world')
    })

    t.test('CF-1: final uploads complete by themselves when their last part does, each of several', async t => {
      const app = await make(t)
      const finished: string[] = []
      app.tus.addHook('preFinish', (_request, { metadata }) => { if (metadata.refuse) throw Object.assign(new Error('no'), { statusCode: 403 }) })
      app.tus.addHook('postFinish', (_request, { id }) => { finished.push(id) })
      const parts = [await createUpload(app, { 'upload-length': '6', ...PARTIAL }), await createUpload(app, { 'upload-length': '5', ...PARTIAL })]
      const refused = getPath(await join(app, parts, { 'upload-metadata': 'refuse eA==' }))
      const finals = [getPath(await join(app, parts)), getPath(await join(app, [...parts].reverse())), getPath(await join(app, [parts[1]!, parts[1]!]))]
      await patch(app, parts[1]!, 0, 'world')
      await until('the one is complete', () => finished.length === 1)
      t.strictSame(finished, [getId(finals[2]!)])
      await patch(app, parts[0]!, 0, 'hello ')
      await until('all are complete', () => finished.length === 3)
      const texts = await Promise.all(finals.map(async final => (await app.inject(final)).body))
      t.strictSame(texts, ['hello world', 'worldhello ', 'worldworld'])
      t.equal((await app.tus.find(getId(refused)))?.complete, false, 'one that a hook refuses keeps nobody else')
    })

    t.test('CF-1: a part that comes with its creation, or that gets its length last, completes the final upload too', async t => {
      const ids: string[] = []
      const app = await make(t, { generateId: () => ids.shift() ?? 'unexpected' })
      ids.push('late', 'final', 'other', 'final2')
      const late = await createUpload(app, { 'upload-defer-length': '1', ...PARTIAL })
      await patch(app, late, 0, 'hello')
      const final = getPath(await join(app, [late]))
      await patch(app, late, 5, '', { 'upload-length': '5' })
      await until('it is complete', async () => (await app.tus.find(getId(final)))?.complete === true)
      t.equal((await app.inject(final)).body, 'hello')
      const other = getPath(await post(app, { 'upload-length': '1', ...PARTIAL, ...BYTES }, 'x'))
      t.equal((await app.inject(getPath(await join(app, [other, late])))).body, 'xhello')
    })

    t.test('CF-1: parts that complete while the final upload is created: it is never forgotten', async t => {
      const app = await make(t)
      for (let count = 0; count < 12; count++) {
        const parts = [await createUpload(app, { 'upload-length': '3', ...PARTIAL }), await createUpload(app, { 'upload-length': '3', ...PARTIAL })]
        const [created] = await Promise.all([join(app, parts), patch(app, parts[0]!, 0, 'abc'), patch(app, parts[1]!, 0, 'def')])
        await until('it is complete', async () => (await app.tus.find(getId(getPath(created))))?.complete === true)
        t.equal((await app.inject(getPath(created))).body, 'abcdef')
      }
    })

    t.test('CF-1: the sweeper makes a final upload that nobody woke', async t => {
      const app = await make(t)
      const part = await createUpload(app, { 'upload-length': '5', ...PARTIAL })
      const final = getPath(await join(app, [part]))
      await patch(app, part, 0, 'hel')
      t.match(await app.tus.sweep(), { finished: 0, failed: 0 })
      await patch(app, part, 3, 'lo')
      await app.tus.sweep()
      t.equal((await app.inject(final)).body, 'hello')
    })

    t.test('CC-17: absolute URLs, paths and bare names; other things are 400', async t => {
      const app = await make(t)
      const part = await createPart(app, 'ab')
      const id = getId(part)
      for (const url of [part, `http://localhost:80${part}`, `https://uploads.example.org${part}`, `${part}?a=b`, `./${id}`, id, `/files/../files/${id}`]) {
        const created = await join(app, [url, url])
        t.equal(created.statusCode, 201, url)
        t.equal((await app.inject(getPath(created))).body, 'abab')
      }
      for (const url of ['/files/none', '/files/', '/other/' + id, '/files/a/b', '%', 'http://', `/files/${id}.json`, '/files/..%2f' + id, `/files/${id}/`, 'http://[', '/']) {
        t.equal((await join(app, [part, url])).statusCode, 400, url)
      }
    })

    t.test('CC-18: a sum above maxSize is 413, whether it is known at the creation or later', async t => {
      const app = await make(t, { maxSize: 8 })
      const part = await createPart(app, 'hello')
      t.equal((await join(app, [part, part])).statusCode, 413)
      t.equal((await join(app, [part])).statusCode, 201)
      const late = await createUpload(app, { 'upload-defer-length': '1', ...PARTIAL })
      const final = getPath(await join(app, [part, late]))
      t.equal((await patch(app, late, 0, 'hello', { 'upload-length': '5' })).statusCode, 204)
      t.equal((await head(app, final)).statusCode, 413)
      t.match(await app.tus.sweep(), { finished: 0 })
      t.equal((await app.tus.find(getId(final)))?.offset, 0)
      t.equal((await app.inject(final)).statusCode, 404)
    })

    t.test('CC-18: where a function of the request decides, the next request makes a final upload whose length comes late', async t => {
      const app = await make(t, { maxSize: request => request.headers['x-plan'] === 'large' ? null : 8 })
      const [part, late] = [await createPart(app, 'hello'), await createUpload(app, { 'upload-defer-length': '1', ...PARTIAL })]
      const final = getPath(await join(app, [part, late]))
      await patch(app, late, 0, 'hello', { 'upload-length': '5' })
      t.equal((await head(app, final)).statusCode, 413)
      t.match(await app.inject({ method: 'HEAD', url: final, headers: { 'tus-resumable': '1.0.0', 'x-plan': 'large' } }), { statusCode: 200, headers: { 'upload-offset': '10' } })
    })

    t.test('CC-18: a sum that no number can count is 413', async t => {
      const app = await make(t)
      const huge = await createUpload(app, { 'upload-length': String(Number.MAX_SAFE_INTEGER), ...PARTIAL })
      t.equal((await join(app, [huge, huge])).statusCode, 413)
      t.match((await head(app, getPath(await join(app, [huge])))).headers, { 'upload-length': String(Number.MAX_SAFE_INTEGER) })
    })

    t.test('CC-19: an unfinished part is 400 where only finished ones are taken', async t => {
      const app = await make(t, { extensions: ['creation', 'concatenation'] })
      const part = await createUpload(app, { 'upload-length': '5', ...PARTIAL })
      t.equal((await join(app, [part])).statusCode, 400)
      await patch(app, part, 0, 'hello')
      t.equal((await join(app, [part])).statusCode, 201)
    })

    t.test('CC-20: any other Upload-Concat is 400, and so is a part that is none', async t => {
      const app = await make(t)
      const part = await createPart(app, 'hello')
      for (const value of ['', 'Partial', 'partial;', 'final', 'final;', 'final; ', `final ${part}`, `final:${part}`, `Final;${part}`, `partial, final;${part}`, 'nonsense']) {
        t.equal((await post(app, { 'upload-length': '5', 'upload-concat': value })).statusCode, 400, value)
        t.equal((await post(app, { 'upload-concat': value })).statusCode, 400, value)
      }
      const final = getPath(await join(app, [part]))
      t.equal((await join(app, [final])).statusCode, 400, 'a final upload is no part')
      t.equal((await join(app, [await createComplete(app, 'hello')])).statusCode, 400, 'nor is an ordinary one')
    })

    t.test('CC-20: a final upload can not be a part of itself', async t => {
      const app = await make(t, { generateId: () => 'self' })
      t.equal((await join(app, ['/files/self'])).statusCode, 400)
      t.equal((await head(app, '/files/self')).statusCode, 404)
    })

    t.test('a part of somebody else is refused by preAccess, which is asked once for each', async t => {
      const app = await make(t)
      const [mine, theirs] = [await createPart(app, 'mine'), await createPart(app, 'theirs')]
      const asked: string[] = []
      app.tus.addHook('preAccess', (_request, { id }, action) => {
        asked.push(`${action} ${id}`)
        if (id === getId(theirs)) throw Object.assign(new Error('not yours'), { statusCode: 403 })
      })
      t.equal((await join(app, [mine, theirs])).statusCode, 403)
      t.strictSame(asked, [`concatenate ${getId(mine)}`, `concatenate ${getId(theirs)}`])
      t.equal((await join(app, [mine, mine])).statusCode, 201)
      t.equal(asked.length, 3)
      let count = 0
      for await (const { final } of app.tus.list()) if (final) count++
      t.equal(count, 1, 'a refused one is not stored')
    })

    t.test('preCreate is asked for final uploads too', async t => {
      const app = await make(t)
      const part = await createPart(app, 'hello')
      app.tus.addHook('preCreate', (_request, { final, length, parts }) => {
        if (final && length === 10) throw Object.assign(new Error(`no ${parts.length}`), { statusCode: 403 })
      })
      t.equal((await join(app, [part, part])).statusCode, 403)
      t.equal((await join(app, [part])).statusCode, 201)
    })

    t.test('many final uploads of the same parts at once', async t => {
      const app = await make(t)
      const parts = [await createPart(app, makeBytes(300_000)), await createPart(app, 'end')]
      const created = await Promise.all(Array.from({ length: 12 }, () => join(app, parts)))
      const whole = Buffer.concat([makeBytes(300_000), Buffer.from('end')])
      for (const response of created) t.ok((await app.inject(getPath(response))).rawPayload.equals(whole))
    })

    t.test('a part that is removed while a final upload is made of it: the final upload is whole, or was refused', async t => {
      const app = await make(t)
      for (let count = 0; count < 6; count++) {
        const parts = [await createPart(app, makeBytes(400_000)), await createPart(app, 'end')]
        const [created] = await Promise.all([join(app, parts), terminate(app, parts[1]!)])
        if (created.statusCode === 201) {
          const { headers } = await head(app, getPath(created))
          t.ok(['400003', undefined].includes(headers['upload-offset'] as string | undefined))
          t.equal((await app.inject(getPath(created))).statusCode, headers['upload-offset'] === undefined ? 404 : 200)
        } else t.ok([400, 404].includes(created.statusCode), String(created.statusCode))
      }
    })
  })
}
