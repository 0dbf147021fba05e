import Fastify, { type FastifyInstance } from 'fastify'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { json } from 'node:stream/consumers'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { makeDirectory } from '../support/app.js'
import { createComplete, createUpload, encodeMetadata, head, patch, post, terminate } from '../support/http-tus.js'

// example/tusd-hooks.mjs, with an endpoint as people have written it for tusd.

interface HookRequest {
  readonly Type: string
  readonly Event: { readonly Upload: Record<string, unknown>, readonly HTTPRequest: Record<string, unknown> }
}

/** An endpoint that answers each type of hook with what it is given for it. */
async function setUp (t: Test, answers: Record<string, object> = {}) {
  const heard: Array<HookRequest & { readonly headers: object }> = []
  const server = createServer(async (request, response) => {
    const asked = await json(request) as HookRequest
    heard.push({ ...asked, headers: request.headers })
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answers[asked.Type] ?? {}))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const app = await makeBuiltApp(t)
  const { addTusdHooks } = await import(new URL('../../example/tusd-hooks.mjs', import.meta.url).href)
  addTusdHooks(app, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, ['Authorization'])
  return { app, heard }
}

/** The example imports the package, which is what was built: so has the application to, for the two to mean the same by `StopUpload`. */
async function makeBuiltApp (t: Test): Promise<FastifyInstance> {
  const name: string = 'fastify-tus'
  const { default: fastifyTus } = await import(name)
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage: createFsStorage({ directory: await makeDirectory(t) }) })
  return app
}

t.test('the endpoint hears what tusd would tell it, in the same order', async t => {
  const { app, heard } = await setUp(t)
  const response = await post(app, { 'upload-length': '5', 'upload-metadata': encodeMetadata({ filename: 'a.txt' }), authorization: 'Bearer x' })
  const path = new URL(response.headers.location!).pathname
  await patch(app, path, 0, 'hello')
  await terminate(app, path)
  t.same(heard.map(({ Type }) => Type), ['pre-create', 'post-create', 'post-receive', 'pre-finish', 'post-finish', 'pre-terminate', 'post-terminate'])
  t.match(heard[0], { headers: { authorization: 'Bearer x' }, Event: { HTTPRequest: { Method: 'POST', URI: '/files', Header: { 'Upload-Length': ['5'] } } } })
  t.same(heard[4]!.Event.Upload, {
    ID: path.split('/').at(-1), Size: 5, SizeIsDeferred: false, Offset: 5, MetaData: { filename: 'a.txt' }, IsPartial: false, IsFinal: false, PartialUploads: null, Storage: null
  })
})

t.test('it can refuse an upload, and choose its id and metadata', async t => {
  const refused = await setUp(t, { 'pre-create': { RejectUpload: true, HTTPResponse: { StatusCode: 402, Body: 'pay first', Header: { 'X-Price': '5' } } } })
  const response = await post(refused.app, { 'upload-length': '5' })
  t.match(response, { statusCode: 402, headers: { 'x-price': '5' } })
  t.match(response.json(), { message: 'pay first' })
  const changing = await setUp(t, { 'pre-create': { ChangeFileInfo: { ID: 'chosen', MetaData: { a: 'b' } } } })
  t.equal(await createUpload(changing.app), '/files/chosen')
  t.equal((await head(changing.app, '/files/chosen')).headers['upload-metadata'], 'a Yg==')
})

t.test('it can stop an upload, answer the last request, and refuse a removal', async t => {
  const stopping = await setUp(t, { 'post-receive': { StopUpload: true, HTTPResponse: { StatusCode: 422, Body: 'a virus' } } })
  const path = await createUpload(stopping.app)
  t.equal((await patch(stopping.app, path, 0, 'hel')).statusCode, 422)
  t.equal((await head(stopping.app, path)).statusCode, 404)
  const answering = await setUp(t, {
    'pre-finish': { HTTPResponse: { Header: { 'X-Done': 'yes' } } },
    'pre-terminate': { RejectTermination: true, HTTPResponse: { StatusCode: 403 } }
  })
  const another = await createUpload(answering.app)
  t.equal((await patch(answering.app, another, 0, 'hello')).headers['x-done'], 'yes')
  t.equal((await terminate(answering.app, await createComplete(answering.app, 'x'))).statusCode, 403)
})
