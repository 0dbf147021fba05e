import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'
import t, { type Test } from 'tap'
import { createS3Storage } from '../../adapters/s3/index.js'
import { StopUpload, type LifecycleMessage, type RequestMessage } from '../../lib/index.js'
import { makeApp, startApp } from '../support/app.js'
import { BYTES, TUS, createComplete, createUpload, head, makeBytes, patch, post, terminate, until } from '../support/http-tus.js'
import { formatHead, openRaw } from '../support/raw-socket.js'
import { createBucket, createClient, getServer } from '../support/s3/bucket.js'

const NAMES = ['request', 'append', 'lock', 'hook', 'sweep', 's3'] as const
const EVENTS = ['created', 'finished', 'terminated', 'expired', 'interrupted'] as const

interface Heard {
  readonly name: string
  readonly phase: string
  readonly message: any
}

/** Notes what is published while a test runs. */
function listen (t: Test): Heard[] {
  const heard: Heard[] = []
  for (const name of NAMES) {
    const note = (phase: string) => (message: object) => { heard.push({ name, phase, message }) }
    const subscribers = { start: note('start'), end: note('end'), asyncStart: note('asyncStart'), asyncEnd: note('asyncEnd'), error: note('error') }
    tracingChannel(`fastify-tus:${name}`).subscribe(subscribers)
    t.teardown(() => tracingChannel(`fastify-tus:${name}`).unsubscribe(subscribers))
  }
  for (const name of EVENTS) {
    const listener = (message: unknown) => { heard.push({ name, phase: 'event', message }) }
    subscribe(`fastify-tus:upload:${name}`, listener)
    t.teardown(() => { unsubscribe(`fastify-tus:upload:${name}`, listener) })
  }
  return heard
}

/** What ended or happened, in its order. */
function summarize (heard: readonly Heard[]): string[] {
  return heard.filter(({ phase }) => phase === 'asyncEnd' || phase === 'event').map(({ name }) => name)
}

t.test('an upload from its creation to its end', async t => {
  const { app } = await makeApp(t)
  app.tus.addHook('postFinish', async () => {})
  const heard = listen(t)
  const url = await createUpload(app)
  await patch(app, url, 0, 'hello')
  await terminate(app, url)
  t.strictSame(summarize(heard), ['created', 'request', 'lock', 'append', 'hook', 'finished', 'request', 'lock', 'terminated', 'request'])

  const id = url.split('/').at(-1)
  const ended = heard.filter(({ phase }) => phase === 'asyncEnd').map(({ message }) => message)
  const [creation, patched, removed] = ended.filter((message): message is RequestMessage => 'reply' in message)
  t.strictSame([creation, patched, removed].map(message => [message!.method, message!.reply.statusCode, message!.request.upload?.id]), [['POST', 201, id], ['PATCH', 204, id], ['DELETE', 204, id]])
  t.match(ended.find(message => 'body' in message), { upload: { id, offset: 0 }, body: { received: 5, interruption: null }, result: { offset: 5 } })
  t.match(ended.find(message => 'hook' in message), { hook: 'postFinish', id })
  t.ok(ended.filter(message => Object.keys(message)[0] === 'id').every(message => message.id === id), 'locks')
  t.match(heard.find(({ name }) => name === 'terminated')!.message, { event: 'terminated', upload: { id, offset: 5 }, reason: 'requested' })
  for (const name of NAMES) {
    const phases = heard.filter(heard => heard.name === name).map(({ phase }) => phase)
    t.equal(phases.filter(phase => phase === 'start').length, phases.filter(phase => phase === 'asyncEnd').length, `${name}: each start has its end`)
  }
})

t.test('the method that counts is the one that a header names', async t => {
  const { app } = await makeApp(t)
  const url = await createUpload(app)
  const heard = listen(t)
  await app.inject({ method: 'POST', url, headers: { ...TUS, 'x-http-method-override': 'HEAD' } })
  t.match(heard.find(({ name }) => name === 'request')!.message, { method: 'HEAD', request: { method: 'POST' } })
})

t.test('where such a header is refused, the method is the one that the request has', async t => {
  const { app } = await makeApp(t)
  const heard = listen(t)
  await app.inject({ method: 'HEAD', url: '/files/x', headers: { ...TUS, 'x-http-method-override': 'DELETE' } })
  const failed = heard.find(({ name, phase }) => name === 'request' && phase === 'error')
  t.match(failed!.message, { method: 'HEAD', error: { code: 'TUS_ERR_METHOD_OVERRIDE' } })
})

t.test('what fails', async t => {
  const { app } = await makeApp(t)
  app.tus.addHook('preCreate', () => { throw Object.assign(new Error('no'), { statusCode: 422 }) })
  const heard = listen(t)
  t.equal((await post(app, { 'upload-length': '5' })).statusCode, 422)
  t.equal((await head(app, '/files/nobody')).statusCode, 404)
  const errors = heard.filter(({ phase }) => phase === 'error')
  t.strictSame(errors.map(({ name, message }) => [name, message.error.code ?? message.error.message]), [['hook', 'no'], ['request', 'no'], ['request', 'TUS_ERR_UPLOAD_NOT_FOUND']])
})

t.test('a body that is cut, and one that waits for it', async t => {
  const { app, port } = await startApp(t)
  const url = await createUpload(app, { 'upload-length': '100' })
  const heard = listen(t)
  const client = openRaw(t, port)
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '100' }))
  await client.send(makeBytes(64).subarray(0, 40))
  await until('bytes arrived', () => heard.some(({ name, message }) => name === 'append' && message.body.received === 40))
  // The message tells while the body comes in.
  t.notOk(heard.some(({ name, phase }) => name === 'append' && phase === 'asyncEnd'))
  t.equal((await head(app, url)).headers['upload-offset'], '40')
  t.strictSame(summarize(heard).slice(0, 3), ['lock', 'interrupted', 'append'])
  const { event, upload, reason } = heard.find(({ name }) => name === 'interrupted')!.message as LifecycleMessage
  t.strictSame([event, upload.offset, reason], ['interrupted', 40, 'wanted'])
})

t.test('a wait that is too long', async t => {
  const { app, port } = await startApp(t, { lockTimeout: 50 })
  let leave = () => {}
  app.tus.addHook('preTerminate', () => new Promise(resolve => { leave = resolve }))
  const url = await createUpload(app)
  const heard = listen(t)
  const removed = fetch(`http://127.0.0.1:${port}${url}`, { method: 'DELETE', headers: TUS })
  await until('the hook runs', () => heard.some(({ name, phase }) => name === 'hook' && phase === 'start'))
  t.equal((await patch(app, url, 0, 'hello')).statusCode, 423)
  leave()
  t.equal((await removed).status, 204)
  t.strictSame(heard.filter(({ phase, name }) => phase === 'error' && name === 'lock').map(({ message }) => message.error.name), ['LockTimeout'])
})

t.test('removals and their reasons', async t => {
  const { app } = await makeApp(t)
  app.tus.addHook('preCreate', (_request, { length }) => length === 5 ? { expiresAt: new Date(0) } : {})
  const heard = listen(t)
  await createUpload(app)
  await app.tus.sweep()
  app.tus.addHook('postReceive', () => { throw new StopUpload('enough') })
  await post(app, { 'upload-length': '10', ...BYTES }, 'hello')
  await post(app, { 'upload-length': '4', ...BYTES, 'transfer-encoding': 'chunked' }, 'hello')
  t.match(heard.find(({ name, phase }) => name === 'sweep' && phase === 'asyncEnd')!.message, { result: { expired: 1, finished: 0, failed: 0, tidied: 0 } })
  t.strictSame(heard.filter(({ name }) => name === 'expired').length, 1)
  t.strictSame(heard.filter(({ name }) => name === 'terminated').map(({ message }) => message.reason), ['stopped', 'useless'])
})

t.test('a store that a tracer binds holds in what runs inside', async t => {
  const { app } = await makeApp(t)
  const spans = new AsyncLocalStorage<string[]>()
  for (const name of ['request', 'lock', 'append', 'hook']) {
    const { start } = tracingChannel(`fastify-tus:${name}`)
    start.bindStore(spans, () => [...spans.getStore() ?? [], name])
    t.teardown(() => { start.unbindStore(spans) })
  }
  let inside: string[] | undefined
  app.tus.addHook('postReceive', () => { inside = spans.getStore() })
  await createComplete(app, 'hello')
  t.strictSame(inside, ['request', 'append', 'hook'], 'a wait for a lock has ended before the work begins')
})

t.test('calls of S3', async t => {
  const client = createClient(t, await getServer(t))
  const bucket = await createBucket(client)
  const storage = createS3Storage({ client, bucket, prefix: 'a/' })
  const { app } = await makeApp(t, { storage })
  const heard = listen(t)
  const url = await createComplete(app, 'hello')
  const id = url.split('/').at(-1)!
  const calls = heard.filter(({ name, phase }) => name === 's3' && phase === 'asyncEnd').map(({ message }) => message)
  t.ok(calls.length > 0)
  t.ok(calls.every(call => call.bucket === bucket && /^(?:Put|Get|Head|Delete)Object$/.test(call.operation) && call.key.startsWith(`a/${id}`)), calls.map(({ operation, key }) => `${operation} ${key}`).join())
  await head(app, '/files/nobody')
  t.match(heard.findLast(({ name, phase }) => name === 's3' && phase === 'error')!.message, { error: { $metadata: { httpStatusCode: 404 } } }, 'also one that finds nothing')
})
