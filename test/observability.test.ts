import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { makeDirectory } from './support/app.js'
import { spawnNode } from './support/server-process.js'

const text = await readFile('docs/observability.md', 'utf8')
const [metrics, tracing] = [...text.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code]) => code!)

/** Runs a script in a project that has installed what this one has. */
async function run (t: Test, script: string): Promise<unknown> {
  const project = await makeDirectory(t)
  await mkdir(join(project, 'node_modules/@opentelemetry'), { recursive: true })
  await symlink(resolve('.'), join(project, 'node_modules/fastify-tus'))
  for (const name of ['fastify', 'prom-client', '@opentelemetry/api', '@opentelemetry/sdk-trace-base']) await symlink(resolve('node_modules', name), join(project, 'node_modules', name))
  await writeFile(join(project, 'script.mjs'), script)
  const child = spawnNode(['script.mjs'], { cwd: project })
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', text => { output += text })
  const code = await new Promise(resolve => child.once('close', resolve))
  if (code !== 0) throw new Error(output)
  return JSON.parse(output)
}

const APP = `
import Fastify from 'fastify'
import tus from 'fastify-tus'
import { createMemoryStorage } from 'fastify-tus/memory'
const app = Fastify()
const upload = () => app.inject({ method: 'POST', url: '/files', headers: { 'tus-resumable': '1.0.0', 'upload-length': '5', 'content-type': 'application/offset+octet-stream' }, payload: 'hello' })
`

t.test('the example of metrics answers with them', async t => {
  const answer = await run(t, `${APP}
${metrics}
await upload()
const { statusCode, body } = await app.inject('/metrics')
console.log(JSON.stringify({ statusCode, line: body.split('\\n').find(line => line.startsWith('fastify_tus_uploads_finished_total')) }))
await app.close()`)
  t.strictSame(answer, { statusCode: 200, line: 'fastify_tus_uploads_finished_total 1' })
})

t.test('the example of OpenTelemetry makes spans', async t => {
  const spans = await run(t, `${APP}
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
