import swagger from '@fastify/swagger'
import { compileErrors, validate } from '@readme/openapi-parser'
import Fastify, { type FastifyInstance, type InjectOptions, type LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { type TusOptions } from '../../lib/index.js'
import { BYTES, TUS, createComplete, createUpload, encodeMetadata, makeBytes } from '../support/http-tus.js'

interface Operation {
  readonly tags: readonly string[]
  readonly security?: unknown
  readonly parameters: ReadonlyArray<{ readonly name: string, readonly in: string, readonly required: boolean }>
  readonly requestBody?: { readonly required: boolean, readonly content: object }
  readonly responses: Readonly<Record<string, { readonly headers?: object, readonly content?: object }>>
}
type Document = { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> }

async function makeApp (t: Test, options: TusOptions = {}, openapi = '3.0.3', prepare = (_app: FastifyInstance) => {}): Promise<{ app: FastifyInstance, document: Document }> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, { openapi: { openapi, info: { title: 'test', version: '1.0.0' }, servers: [{ url: 'https://example.com' }] } })
  await app.register(fastifyTus, { storage: createMemoryStorage(), ...options })
  prepare(app)
  await app.ready()
  return { app, document: app.swagger() as unknown as Document }
}

async function isValid (t: Test, document: Document): Promise<void> {
  const result = await validate(structuredClone(document) as never)
  t.ok(result.valid, result.valid ? 'is valid' : compileErrors(result))
  const text = JSON.stringify(document)
  const schemas = (document as any).components.schemas
  t.same([...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name!).filter(name => !(name in schemas)), [])
}

function listNames ({ parameters }: Operation): string[] {
  return parameters.filter(parameter => parameter.in === 'header').map(({ name }) => name)
}

t.test('the document is valid, whatever is offered', async t => {
  const offers: TusOptions[] = [{}, { protocols: ['tus'] }, { protocols: ['ietf'] }, { extensions: [] }, { extensions: ['creation'], protocols: ['tus'] }, { maxSize: 5, maxAppendSize: 3, maxConcurrentUploads: 2, download: false, expiration: false }]
  for (const options of offers) {
    for (const version of ['3.0.3', '3.1.0']) {
      const { document } = await makeApp(t, options, version)
      await isValid(t, document)
      t.same(Object.keys(document.paths), ['/files', '/files/{id}'])
    }
  }
})

t.test('it names what is offered, and nothing else', async t => {
  t.test('tus with all extensions', async t => {
    const { document: { paths } } = await makeApp(t, { protocols: ['tus'], maxConcurrentUploads: 5 })
    t.same(Object.keys(paths['/files']!).sort(), ['options', 'post'])
    t.same(Object.keys(paths['/files/{id}']!).sort(), ['delete', 'get', 'head', 'options', 'patch'])
    const { post } = paths['/files']!
    t.same(listNames(post!), ['Tus-Resumable', 'Upload-Length', 'Upload-Defer-Length', 'Upload-Metadata', 'Upload-Concat', 'Upload-Checksum'])
    t.same(post!.parameters.filter(({ required }) => required).map(({ name }) => name), ['Tus-Resumable'])
    t.same(Object.keys(post!.requestBody!.content), ['application/offset+octet-stream'])
    t.hasProps(paths['/files/{id}']!.patch!.responses, ['204', '409', '410', '429', '460'])
    t.notOk('104' in post!.responses)
    t.notMatch(JSON.stringify(paths), /Upload-Complete|Upload-Draft|problem/)
  })

  t.test('tus with creation alone', async t => {
    const { document: { paths } } = await makeApp(t, { protocols: ['tus'], extensions: ['creation'], download: false })
    t.same(Object.keys(paths['/files/{id}']!).sort(), ['head', 'options', 'patch'])
    const { post } = paths['/files']!
    t.same(listNames(post!), ['Tus-Resumable', 'Upload-Length', 'Upload-Metadata'])
    t.same(post!.parameters.map(({ required }) => required), [true, true, false])
    t.notOk(post!.requestBody)
    t.notMatch(JSON.stringify(paths), /Upload-(?:Expires|Concat|Defer-Length|Checksum)|"4(?:10|29|60)"/)
  })

  t.test('tus without creation', async t => {
    const { document: { paths } } = await makeApp(t, { protocols: ['tus'], extensions: [] })
    t.same(Object.keys(paths['/files']!), ['options'])
  })

  t.test('the draft', async t => {
    const { document: { paths } } = await makeApp(t, { protocols: ['ietf'] })
    t.same(Object.keys(paths['/files']!).sort(), ['options', 'post', 'put'])
    const { patch, get } = paths['/files/{id}']!
    t.same(patch!.parameters.filter(({ required }) => required).map(({ name }) => name), ['id', 'Upload-Offset', 'Upload-Complete'])
    t.same(Object.keys(patch!.requestBody!.content), ['application/partial-upload'])
    t.hasProps(patch!.responses, ['104', '201', '204'])
    t.hasProps(get!.responses, ['200', '204', '206'])
    t.notMatch(JSON.stringify({ ...paths, '/files/{id}': { patch } }), /Tus-|Upload-Concat|Upload-Checksum|"460"/)
  })

  t.test('the draft without interim responses', async t => {
    const { document: { paths } } = await makeApp(t, { interimResponses: false })
    t.notMatch(JSON.stringify(paths), /"104"/)
  })
})

t.test('what happens is what it says', async t => {
  for (const options of [{ maxSize: 1000, maxAppendSize: 500 }, { protocols: ['tus'] }, { protocols: ['ietf'] }] as TusOptions[]) {
    const { app, document } = await makeApp(t, options)
    const seen = new Set<string>()
    const ask = async (request: InjectOptions & { method: string, url: string }) => {
      const response = await app.inject(request)
      seen.add(`${request.method} ${response.statusCode}`)
      conforms(t, document, request, response)
      return response
    }
    if (options.protocols?.[0] !== 'ietf') await speakTus(app, ask)
    if (options.protocols?.[0] !== 'tus') await speakIetf(ask)
    t.ok(seen.size > 12, `${seen.size} kinds of answers`)
  }
})

type Ask = (request: InjectOptions & { method: NonNullable<InjectOptions['method']>, url: string }) => Promise<LightMyRequestResponse>

async function speakTus (app: FastifyInstance, ask: Ask): Promise<void> {
  await ask({ method: 'OPTIONS', url: '/files' })
  const post = (headers: object, payload?: string) => ask({ method: 'POST', url: '/files', headers: { ...TUS, ...headers }, ...payload !== undefined && { payload } })
  await post({ 'upload-length': '5', 'upload-metadata': encodeMetadata({ filename: 'a.txt' }) })
  await post({ ...BYTES, 'upload-length': '5' }, 'hello')
  await post({ 'upload-length': '0x10' })
  await post({ 'upload-length': String(2 ** 53) })
  await post({ 'upload-length': '1001' })
  await ask({ method: 'POST', url: '/files', headers: { 'tus-resumable': '0.2.2', 'upload-length': '5' } })
  await post({ 'upload-length': '5', 'content-type': 'text/plain' }, 'hello')
  await post({ ...BYTES, 'upload-length': '5', 'upload-checksum': 'sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=' }, 'hello')
  const url = await createUpload(app, { 'upload-length': '10' })
  const patch = (offset: string, headers: object = {}, payload = 'hello') => ask({ method: 'PATCH', url, headers: { ...TUS, ...BYTES, 'upload-offset': offset, ...headers }, payload })
  await patch('0')
  await patch('3')
  await patch('5', { 'content-type': 'text/plain' })
  await patch('5', {}, String(makeBytes(600)))
  await patch('5', { 'upload-checksum': 'md4 AAAA' })
  const partial = await createUpload(app, { 'upload-length': '5', 'upload-concat': 'partial' })
  await post({ 'upload-concat': `final;${partial}` }, 'hello')
  const final = await createUpload(app, { 'upload-concat': `final;${partial}` })
  const complete = await createComplete(app, 'hello world')
  for (const path of [url, final, complete, '/files/missing']) {
    for (const method of ['HEAD', 'GET'] as const) await ask({ method, url: path, headers: TUS })
  }
  await ask({ method: 'PATCH', url: final, headers: { ...TUS, ...BYTES, 'upload-offset': '0' }, payload: 'x' })
  await ask({ method: 'GET', url: complete, headers: { range: 'bytes=0-1' } })
  await ask({ method: 'GET', url: complete, headers: { range: 'bytes=50-60' } })
  await ask({ method: 'GET', url: complete, headers: { 'if-none-match': '*' } })
  await ask({ method: 'GET', url: complete, headers: { 'if-match': '"x"' } })
  for (const headers of [{}, { 'if-none-match': '*' }, { 'if-match': '"x"' }]) await ask({ method: 'HEAD', url: complete, headers })
  for (const path of [url, '/files/missing']) await ask({ method: 'HEAD', url: path })
  await ask({ method: 'OPTIONS', url })
  await ask({ method: 'DELETE', url, headers: TUS })
  await ask({ method: 'DELETE', url, headers: TUS })
}

async function speakIetf (ask: Ask): Promise<void> {
  await ask({ method: 'OPTIONS', url: '/files', headers: { 'upload-draft-interop-version': '8' } })
  await ask({ method: 'POST', url: '/files', headers: { 'upload-complete': '?1', 'want-repr-digest': 'sha-256=1' }, payload: 'hello' })
  await ask({ method: 'PUT', url: '/files', headers: { 'upload-complete': '?1' }, payload: 'hello' })
  await ask({ method: 'POST', url: '/files', headers: { 'upload-complete': '?1', 'content-digest': 'sha-256=:AAAA:' }, payload: 'hello' })
  await ask({ method: 'POST', url: '/files', headers: { 'upload-complete': '?1', 'upload-length': '7' }, payload: 'hello' })
  const created = await ask({ method: 'POST', url: '/files', headers: { 'upload-complete': '?0', 'upload-length': '10' }, payload: 'hello' })
  const url = new URL(created.headers.location!).pathname
  await ask({ method: 'HEAD', url, headers: { 'upload-draft-interop-version': '8' } })
  await ask({ method: 'GET', url, headers: { 'upload-draft-interop-version': '8' } })
  const patch = (headers: object, payload = 'hello') => ask({ method: 'PATCH', url, headers: { 'content-type': 'application/partial-upload', 'upload-offset': '5', 'upload-complete': '?1', ...headers }, payload })
  await patch({ 'content-type': 'text/plain', 'upload-draft-interop-version': '8' })
  await patch({ 'upload-offset': '7' })
  await patch({ 'upload-complete': '?0' }, 'he')
  await patch({ 'upload-offset': '7' }, 'llo')
  await patch({ 'upload-offset': '10' }, 'more')
  await ask({ method: 'GET', url })
  await ask({ method: 'HEAD', url })
  await ask({ method: 'DELETE', url, headers: { 'upload-draft-interop-version': '8' } })
  await ask({ method: 'HEAD', url, headers: { 'upload-draft-interop-version': '8' } })
}

/** The status, every header field and the type of the body are in the document. */
function conforms (t: Test, { paths }: Document, { method, url }: { method: string, url: string }, { statusCode, headers, body }: LightMyRequestResponse): void {
  const path = url === '/files' ? url : '/files/{id}'
  const response = paths[path]![method.toLowerCase()]?.responses[statusCode]
  if (response === undefined) throw new Error(`${method} ${path}: ${statusCode} is not in the document: ${body}`)
  const known = new Set(['content-type', 'content-length', 'connection', 'date', ...Object.keys(response.headers ?? {}).map(name => name.toLowerCase())])
  t.same(Object.keys(headers).filter(name => !known.has(name)), [], `${method} ${path} ${statusCode}: no other header fields`)
  const type = String(headers['content-type'] ?? '').split(';')[0]!
  if (body === '') return
  t.ok(response.content && (type in response.content || '*/*' in response.content), `${method} ${path} ${statusCode}: a body of ${type}`)
}

t.test('nothing of it is there while a request is served', async t => {
  const schemas: unknown[] = []
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, { openapi: {} })
  app.addHook('onRoute', ({ url, schema }) => { if (url.startsWith('/files')) schemas.push(schema) })
  await app.register(fastifyTus, { storage: createMemoryStorage() })
  await app.ready()
  t.strictSame(schemas, schemas.map(() => undefined), 'no route has a schema: nothing to validate, to convert or to serialise')
  t.ok(schemas.length > 1)
})

t.test('option openapi', async t => {
  t.test('false hides the routes', async t => {
    const { document } = await makeApp(t, { openapi: false }, '3.0.3', app => { app.post('/documents', app.tus.resumable(async () => 'x')) })
    t.same(Object.keys(document.paths), ['/documents'])
    t.same(Object.keys(document.paths['/documents']!), ['post'])
    t.notOk('FastifyTusError' in (document as any).components.schemas)
  })

  t.test('tags and security are put on every operation', async t => {
    const { document } = await makeApp(t, { openapi: { tags: ['files'], security: [{ bearer: [] }] } })
    for (const operation of Object.values(document.paths).flatMap(path => Object.values(path))) {
      t.same(operation.tags, ['files'])
      t.same(operation.security, [{ bearer: [] }])
    }
  })

  t.test('what it can not be is refused', async t => {
    for (const openapi of [true, { tags: 'x' }, { tags: [1] }, { security: [1] }, { hide: [] }] as never[]) {
      await t.rejects(async () => { await Fastify().register(fastifyTus, { openapi }) }, { code: 'TUS_ERR_OPTION_INVALID', message: /openapi/ })
    }
  })
})

t.test('the uploads of a route of the application are beside it', async t => {
  const { document } = await makeApp(t, {}, '3.1.0', app => {
    const handler = app.tus.resumable(async () => 'x')
    app.post('/projects/:project(^\\d+$)/documents', { schema: { tags: ['documents'], params: { type: 'object', properties: { project: { type: 'string' } } } } }, handler)
    app.post('/secret', { schema: { hide: true } }, handler)
  })
  await isValid(t, document)
  t.same(Object.keys(document.paths).filter(path => !path.startsWith('/files')), ['/projects/{project}/documents', '/projects/{project}/documents/~post/{id}'])
  const { patch, options } = { ...document.paths['/projects/{project}/documents']!, ...document.paths['/projects/{project}/documents/~post/{id}']! }
  t.same(patch!.tags, ['documents'])
  t.same(patch!.parameters.filter(({ in: where }) => where === 'path').map(({ name }) => name), ['project', 'id'])
  t.ok('default' in patch!.responses)
  t.same(options!.tags, ['documents'])
})

t.test('paths are below those of the servers, and version 2 has none of them', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, { openapi: { servers: [{ url: 'https://example.com/{stage}/', variables: { stage: { default: 'v1' } } }, { url: '/api' }] } })
  await app.register(async scope => { await scope.register(fastifyTus, { storage: createMemoryStorage() }) }, { prefix: '/api' })
  await app.ready()
  t.same(Object.keys(app.swagger().paths!), ['/files', '/files/{id}'])

  const old = Fastify()
  t.teardown(() => old.close())
  await old.register(swagger, { swagger: {} })
  await old.register(fastifyTus, { storage: createMemoryStorage() })
  await old.ready()
  t.same(old.swagger().paths, {})
})
