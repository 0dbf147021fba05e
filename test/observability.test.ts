import Fastify from 'fastify'
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { createMemoryStorage } from '../adapters/memory/index.js'
import fastifyTus from '../lib/index.js'
import { createComplete } from './support/http-tus.js'
import { runScript } from './support/project.js'

const text = await readFile('docs/observability.md', 'utf8')
const [metrics, tracing] = [...text.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code]) => code!)

const APP = `
import Fastify from 'fastify'
import tus from 'fastify-tus'
import { createMemoryStorage } from 'fastify-tus/memory'
const app = Fastify()
const upload = () => app.inject({ method: 'POST', url: '/files', headers: { 'tus-resumable': '1.0.0', 'upload-length': '5', 'content-type': 'application/offset+octet-stream' }, payload: 'hello' })
`

t.test('the example of metrics answers with them', async t => {
  const answer = await runScript(t, `${APP}
${metrics}
await upload()
const { statusCode, body } = await app.inject('/metrics')
console.log(JSON.stringify({ statusCode, line: body.split('\\n').find(line => line.startsWith('fastify_tus_uploads_finished_total')) }))
await app.close()`)
  t.strictSame(answer, { statusCode: 200, line: 'fastify_tus_uploads_finished_total 1' })
})

t.test('the example of OpenTelemetry makes spans', async t => {
  const spans = await runScript(t, `${APP}
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import * as api from '@opentelemetry/api'
const exporter = new InMemorySpanExporter()
api.trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
${tracing}
await app.register(tus, { storage: createMemoryStorage() })
const { headers } = await upload()
await app.inject({ method: 'HEAD', url: '/files/nobody', headers: { 'tus-resumable': '1.0.0' } })
const id = headers.location.split('/').at(-1)
console.log(JSON.stringify(exporter.getFinishedSpans().map(span => [span.name, span.attributes['tus.upload.id'] === id, span.status.message])))
await app.close()`)
  t.strictSame(spans, [['tus lock', true, null], ['tus append', true, null], ['tus request', true, null], ['tus request', false, 'TUS_ERR_UPLOAD_NOT_FOUND']])
})

t.test('the example of the log is a line as it is written', async t => {
  const example = JSON.parse(/^```json\n([\s\S]*?)^```$/m.exec(text)![1]!)
  const lines: string[] = []
  const app = Fastify({ logger: { level: 'info', stream: { write: line => { lines.push(line) } } } })
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage: createMemoryStorage() })
  await createComplete(app, 'hello')
  const line = lines.map(line => JSON.parse(line)).find(({ event }) => event === 'finished')
  t.same(Object.keys(line), Object.keys(example))
  for (const name of ['level', 'event', 'msg']) t.equal(line[name], example[name])
  t.equal(example.offset, example.length)
  t.match(example.id, new RegExp(`^[0-9a-f]{${line.id.length}}$`))
})
