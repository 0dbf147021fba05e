import Fastify from 'fastify'
import { readFile } from 'node:fs/promises'
import { Registry } from 'prom-client'
import t from 'tap'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import { createS3Storage } from '../../adapters/s3/index.js'
import fastifyTus from '../../lib/index.js'
import { makeApp, startApp } from '../support/app.js'
import { BYTES, TUS, createComplete, createUpload, head, post, terminate, until } from '../support/http-tus.js'
import { formatHead, openRaw } from '../support/raw-socket.js'
import { createBucket, createClient, getServer } from '../support/s3/bucket.js'

/** What a register says, without buckets and explanations. */
async function read (register: Registry): Promise<Record<string, number>> {
  const lines = (await register.metrics()).split('\n').filter(line => line !== '' && !line.startsWith('#') && !line.includes('_bucket{'))
  return Object.fromEntries(lines.map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]))
}

t.test('what clients do shows in the metrics', async t => {
  const register = new Registry()
  const { app } = await makeApp(t, { metrics: { register } })
  app.tus.addHook('preCreate', (_request, { length }) => {
    if (length === 7) throw Object.assign(new Error('no'), { statusCode: 422 })
    return length === 6 ? { expiresAt: new Date(0) } : {}
  })
  const url = await createComplete(app, 'hello')
  await terminate(app, url)
  await head(app, url)
  await post(app, { 'upload-length': '7' })
  await createUpload(app, { 'upload-length': '6' })
  await app.tus.sweep()
  t.match(await read(register), {
    'fastify_tus_request_duration_seconds_count{method="POST",status="201"}': 2,
    'fastify_tus_request_duration_seconds_count{method="PATCH",status="204"}': 1,
    'fastify_tus_request_duration_seconds_count{method="HEAD",status="404"}': 1,
    'fastify_tus_errors_total{status="404",code="TUS_ERR_UPLOAD_NOT_FOUND"}': 1,
    'fastify_tus_errors_total{status="422",code="application"}': 1,
    fastify_tus_received_bytes_total: 5,
    fastify_tus_append_bytes_sum: 5,
    fastify_tus_append_bytes_count: 1,
    fastify_tus_open_uploads: 0,
    fastify_tus_uploads_created_total: 2,
    fastify_tus_uploads_finished_total: 1,
    'fastify_tus_uploads_terminated_total{reason="requested"}': 1,
    fastify_tus_uploads_expired_total: 1,
    'fastify_tus_hook_duration_seconds_count{hook="preCreate",result="ok"}': 2,
    'fastify_tus_hook_duration_seconds_count{hook="preCreate",result="failed"}': 1,
    fastify_tus_sweep_duration_seconds_count: 1,
    'fastify_tus_swept_total{result="expired"}': 1
  })
  t.ok((await read(register))['fastify_tus_lock_wait_seconds_count{result="acquired"}']! >= 2)
  t.notMatch(await register.metrics(), /tusd_/)
})

t.test('an upload that is removed for a wrong digest is counted, logged and told like any other, whoever finds it wrong', async t => {
  const register = new Registry()
  const lines: Array<Record<string, unknown>> = []
  const storage = createMemoryStorage()
  const { app } = await makeApp(t, { storage, metrics: { register, tusd: true } }, { logger: { stream: { write: (line: string) => { lines.push(JSON.parse(line)) } } } })
  app.post('/documents', app.tus.resumable(async () => 'never'))
  const removed: string[] = []
  app.tus.addHook('postTerminate', (_request, { id }) => { removed.push(id) })
  app.tus.addHook('preFinish', (_request, { id }) => { t.fail(`${id} was looked at`) })

  const wrong = { 'repr-digest': 'sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:' }
  const create = (url: string, headers: Record<string, string>) => app.inject({ method: 'POST', url, headers: { ...wrong, ...headers }, payload: 'hello' })
  const begin = async () => new URL((await create('/files', { 'upload-complete': '?0', 'upload-length': '5' })).headers.location!).pathname
  const answers = [
    await create('/files', { 'upload-complete': '?1' }),
    await create('/documents', { 'upload-complete': '?1' }),
    await create('/documents', {}),
    await app.inject({ method: 'PATCH', url: await begin(), headers: { 'content-type': 'application/partial-upload', 'upload-offset': '5', 'upload-complete': '?1' } }),
    await app.inject({ method: 'PATCH', url: await begin(), headers: { ...TUS, ...BYTES, 'upload-offset': '5' } }),
    await head(app, await begin())
  ]
  t.same(answers.map(({ statusCode }) => statusCode), answers.map(() => 400))
  await storage.update((await begin()).slice('/files/'.length), () => ({ completes: 'by-mark' }))
  t.match(await app.tus.sweep(), { failed: 0, finished: 0 })

  t.equal(removed.length, 7)
  t.same(lines.filter(({ event, reason }) => event === 'terminated' && reason === 'wrong-digest').map(({ id }) => id), removed)
  t.match(await read(register), {
    'fastify_tus_uploads_terminated_total{reason="wrong-digest"}': 7,
    'fastify_tus_hook_duration_seconds_count{hook="postTerminate",result="ok"}': 7,
    'fastify_tus_errors_total{status="400",code="TUS_ERR_DIGEST_MISMATCH"}': 6,
    tusd_uploads_terminated: 7
  })
})

t.test('a body shows while it comes in, and why it ended', async t => {
  const register = new Registry()
  const { app, port } = await startApp(t, { metrics: { register, tusd: true } })
  const url = await createUpload(app, { 'upload-length': '100' })
  const client = openRaw(t, port)
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '100' }) + 'hello')
  await until('it shows', async () => (await read(register)).fastify_tus_received_bytes_total === 5)
  t.match(await read(register), { fastify_tus_open_uploads: 1, tusd_bytes_received: 5, tusd_connections_open: 1 })
  await client.send('world')
  await until('it grows', async () => (await read(register)).tusd_bytes_received === 10)
  client.reset()
  await until('it has ended', async () => (await read(register)).fastify_tus_open_uploads === 0)
  t.match(await read(register), {
    fastify_tus_received_bytes_total: 10,
    fastify_tus_append_bytes_sum: 10,
    'fastify_tus_interruptions_total{reason="client-gone"}': 1,
    'tusd_errors_total{status="400",code="TUS_ERR_BODY_CUT"}': 1
  })
})

t.test("tusd's names, for what means the same", async t => {
  const register = new Registry()
  const { app } = await makeApp(t, { metrics: { register, tusd: true } })
  app.tus.addHook('postFinish', async () => { throw new Error('no') })
  await terminate(app, await createComplete(app, 'hello'))
  await app.inject({ method: 'OPTIONS', url: '/files' })
  const { tusd_connections_open: connections, ...metrics } = Object.fromEntries(Object.entries(await read(register)).filter(([name]) => name.startsWith('tusd_')))
  t.equal(connections, 0)
  const hooks = ['pre-create', 'post-create', 'post-receive', 'pre-finish', 'post-finish', 'pre-terminate', 'post-terminate']
  t.strictSame(metrics, {
    'tusd_requests_total{method="POST"}': 1,
    'tusd_requests_total{method="PATCH"}': 1,
    'tusd_requests_total{method="DELETE"}': 1,
    'tusd_requests_total{method="OPTIONS"}': 1,
    tusd_bytes_received: 5,
    tusd_uploads_created: 1,
    tusd_uploads_finished: 1,
    tusd_uploads_terminated: 1,
    ...Object.fromEntries(hooks.flatMap(hook => ['invocations', 'errors'].map(what => [`tusd_hook_${what}_total{hooktype="${hook}"}`, hook === 'post-finish' ? 1 : 0])))
  })
})

t.test('clients can not make labels', async t => {
  const register = new Registry()
  const { app } = await makeApp(t, { metrics: { register, tusd: true } })
  const url = await createUpload(app)
  for (const method of ['BREW', 'SHOUT']) await app.inject({ method: 'POST', url, headers: { ...TUS, 'x-http-method-override': method } })
  const methods = Object.keys(await read(register)).flatMap(name => /method="(\w+)"/.exec(name)?.[1] ?? [])
  t.strictSame([...new Set(methods)].sort(), ['POST', 'other'])
})

t.test('several instances share a register, and the last takes the metrics along', async t => {
  const register = new Registry()
  const app = Fastify()
  for (const prefix of ['/a', '/b']) {
    await app.register(async scope => { await scope.register(fastifyTus, { prefix, storage: createMemoryStorage(), metrics: { register, tusd: prefix === '/b' } }) })
  }
  const other = await makeApp(t, { metrics: { register } })
  for (const prefix of ['/a', '/b']) await app.inject({ method: 'POST', url: prefix, headers: { ...TUS, 'upload-length': '1' } })
  t.match(await read(register), { fastify_tus_uploads_created_total: 2, tusd_uploads_created: 2 })
  await app.close()
  t.match(await read(register), { fastify_tus_uploads_created_total: 2 })
  await other.app.close()
  t.equal((await register.metrics()).trim(), '')
  await makeApp(t, { metrics: { register } })
  t.match(await read(register), { fastify_tus_uploads_created_total: 0 })
})

t.test('calls of S3 by operation', async t => {
  const client = createClient(t, await getServer(t))
  const register = new Registry()
  const { app } = await makeApp(t, { storage: createS3Storage({ client, bucket: await createBucket(client) }), metrics: { register } })
  await createComplete(app, 'hello')
  await head(app, '/files/nobody')
  const metrics = await read(register)
  t.ok(metrics['fastify_tus_s3_request_duration_seconds_count{operation="PutObject",status="ok"}']! >= 2)
  t.ok(metrics['fastify_tus_s3_request_duration_seconds_count{operation="GetObject",status="404"}']! >= 1)
})

t.test('a bad option is refused', async t => {
  for (const metrics of [true, {}, { register: {} }, { register: new Registry(), tusd: 'yes' }, { register: new Registry(), names: [] }]) {
    await t.rejects(makeApp(t, { metrics: metrics as never }), { code: 'TUS_ERR_OPTION_INVALID', message: /metrics/ })
  }
})

t.test('the dashboard asks for metrics that are there', async t => {
  const register = new Registry()
  await makeApp(t, { metrics: { register } })
  const exported = new Map((await register.getMetricsAsJSON()).map(({ name, type }) => [name, String(type)]))
  const text = await readFile('docs/grafana/fastify-tus.json', 'utf8')
  const dashboard = JSON.parse(text) as { panels: Array<{ title: string, targets?: Array<{ expr: string }> }> }
  const names = dashboard.panels.flatMap(({ targets = [] }) => targets.flatMap(({ expr }) => expr.match(/\b(?:fastify_)?tusd?_\w+/g) ?? []))
  const asked = new Set(names.map(name => exported.has(name) ? name : name.replace(/_(?:bucket|sum|count)$/, '')))
  t.strictSame([...asked].filter(name => !exported.has(name)), [])
  t.strictSame(names.filter(name => /_(?:bucket|sum|count)$/.test(name) && exported.get(name.replace(/_\w+?$/, '')) === 'counter'), [])
  t.strictSame([...exported.keys()].filter(name => !asked.has(name)), [], 'and for all of them')
  for (const name of exported.keys()) t.match(await readFile('docs/observability.md', 'utf8'), new RegExp(`\`${name}\``), `${name} is documented`)
})
