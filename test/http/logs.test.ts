import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import t, { type Test } from 'tap'
import type { FastifyServerOptions } from 'fastify'
import { StopUpload } from '../../lib/index.js'
import { startApp, type TestApp } from '../support/app.js'
import { BYTES, TUS, createComplete, createUpload, encodeMetadata, head, patch, post, terminate, until } from '../support/http-tus.js'
import { exchangeRaw, formatHead, openRaw } from '../support/raw-socket.js'
import { ServerProcess } from '../support/server-process.js'

interface Line {
  readonly level: number
  readonly msg: string
  readonly event?: string
  readonly reqId?: string
  readonly [field: string]: unknown
}

/** An application that logs all it can, and the lines. */
async function startLogged (t: Test, level = 'trace'): Promise<TestApp & { lines: Line[] }> {
  const lines: Line[] = []
  const stream = new Writable({
    write (chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)))
      done()
    }
  })
  return { ...await startApp(t, {}, { logger: { level, stream } } satisfies FastifyServerOptions), lines }
}

function getEvents (lines: readonly Line[]): Array<Partial<Line>> {
  return lines.filter(({ event }) => event !== undefined).map(({ time, pid, hostname, reqId, level, ...event }) => event)
}

t.test('one line for each event in the life of an upload', async t => {
  const { app, port, directory, lines } = await startLogged(t)
  app.tus.addHook('preCreate', (_request, { metadata }) => ({ expiresAt: metadata.brief === undefined ? null : new Date(0) }))

  await t.test('created, finished, terminated', async t => {
    const url = await createComplete(app, 'hello')
    await terminate(app, url)
    const id = url.split('/').at(-1)
    t.strictSame(getEvents(lines), [
      { event: 'created', id, offset: 0, length: 5, msg: 'an upload was created' },
      { event: 'finished', id, offset: 5, length: 5, msg: 'an upload is finished' },
      { event: 'terminated', id, offset: 5, length: 5, reason: 'requested', msg: 'an upload was terminated' }
    ])
    t.ok(lines.filter(({ event }) => event).every(({ level, reqId }) => level === 30 && reqId), 'with the id of the request')
    lines.length = 0
  })

  await t.test('expired', async t => {
    const url = await createUpload(app, { 'upload-length': '5', 'upload-metadata': 'brief' })
    await app.tus.sweep()
    t.match(getEvents(lines), [{ event: 'created' }, { event: 'expired', id: url.split('/').at(-1), offset: 0, length: 5, msg: 'an upload has expired' }])
    t.equal(lines.find(({ event }) => event === 'expired')!.reqId, undefined, 'no request is the cause')
    lines.length = 0
  })

  await t.test('interrupted, with where and why', async t => {
    const url = await createUpload(app, { 'upload-defer-length': '1' })
    const client = openRaw(t, port)
    await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '100' }) + 'hello')
    await until('the bytes are there', async () => (await stat(join(directory, url.split('/').at(-1)!))).size === 5)
    t.equal((await head(app, url)).headers['upload-offset'], '5')
    await until('it is told', () => getEvents(lines).length === 2)
    t.match(getEvents(lines)[1], { event: 'interrupted', offset: 5, length: null, reason: 'wanted', msg: 'an upload was interrupted' })
    lines.length = 0
  })

  await t.test('stopped by a hook', async t => {
    let stop = true
    app.tus.addHook('postReceive', () => { if (stop) throw new StopUpload('enough') })
    await post(app, { 'upload-length': '10', ...BYTES }, 'hello')
    t.match(getEvents(lines), [{ event: 'created' }, { event: 'terminated', offset: 5, reason: 'stopped' }])
    stop = false
    lines.length = 0
  })

  await t.test('the parts of a final upload, and itself', async t => {
    const part = await createUpload(app, { 'upload-length': '5', 'upload-concat': 'partial' })
    await patch(app, part, 0, 'hello')
    await post(app, { 'upload-concat': `final;${part}` })
    t.match(getEvents(lines), [
      { event: 'created', partial: true }, { event: 'finished', partial: true }, { event: 'created', final: true }, { event: 'finished', final: true, offset: 5 }
    ])
    t.strictSame(getEvents(lines).map(line => 'final' in line && 'partial' in line), [false, false, false, false])
    lines.length = 0
  })
})

t.test('an upload is finished once, however often it is asked for', async t => {
  const { app, lines } = await startLogged(t)
  const quiet = await createComplete(app, 'hello')
  app.tus.addHook('postFinish', async () => {})
  const noted = await createComplete(app, 'hello')
  for (const url of [quiet, noted, quiet, noted]) await app.inject({ method: 'HEAD', url, headers: TUS })
  await app.tus.sweep()
  t.equal(getEvents(lines).filter(({ event }) => event === 'finished').length, 2)
})

t.test('no secret of a client is in the log, whatever happens', async t => {
  const { app, port, lines } = await startLogged(t)
  const secrets = { authorization: 'Bearer hush-authorization', cookie: 'session=hush-cookie', 'x-api-key': 'hush-key', 'proxy-authorization': 'Basic hush-proxy' }
  const metadata = { filename: 'hush-filename.txt', note: 'hush-note' }
  const encoded = { 'upload-metadata': encodeMetadata(metadata) }
  app.tus.addHook('postReceive', () => { throw new Error('a hook that fails') })
  app.tus.addHook('preFinish', (_request, { length }) => { if (length === 6) throw new Error('a hook that fails') })

  const url = await createUpload(app, { 'upload-length': '5', ...encoded, ...secrets })
  await patch(app, url, 3, 'hello', secrets)
  await patch(app, url, 0, 'too long for that', secrets)
  await patch(app, url, 0, 'hello', secrets)
  await app.inject({ url, headers: secrets })
  await terminate(app, url)
  await app.inject({ url, headers: secrets })
  await post(app, { 'upload-length': '6', ...encoded, ...secrets, ...BYTES }, 'failed')
  await post(app, { 'upload-length': 'x', ...encoded, ...secrets })
  // Not Base64, twice the same key, too long.
  const spoilt = ['filename hush-filename', `${encodeMetadata(metadata)},filename aHVzaA==`, `note ${Buffer.from('hush-note'.repeat(1000)).toString('base64')}`]
  for (const value of spoilt) t.equal((await post(app, { 'upload-length': '5', 'upload-metadata': value, ...secrets })).statusCode, 400, value.slice(0, 30))
  const cut = openRaw(t, port)
  await cut.send(formatHead('POST', '/files', { ...TUS, ...BYTES, ...secrets, ...encoded, 'upload-length': '100', 'content-length': '100' }) + 'hello')
  await until('bytes arrived', () => lines.filter(({ event }) => event === 'created').length === 3)
  cut.reset()
  await until('it is told', () => lines.some(({ event }) => event === 'interrupted'))
  await exchangeRaw(t, port, `${formatHead('POST', '/files', { ...TUS, ...secrets, ...encoded, 'upload-length': '1', 'content-length': '9'.repeat(30) })}`)

  const log = lines.map(line => JSON.stringify(line)).join('\n')
  t.match(log, /a hook that fails/)
  t.match(log, /an upload was interrupted/)
  t.notMatch(log, /hush/i)
  for (const value of Object.values(metadata)) t.notMatch(log, Buffer.from(value).toString('base64').slice(0, 12))
})

t.test('nor in that of `serve`', async t => {
  const server = await ServerProcess.start(t, { flags: ['--log-level', 'trace'] })
  const headers = { ...TUS, authorization: 'Bearer hush', 'upload-length': '5', 'upload-metadata': encodeMetadata({ filename: 'hush' }) }
  t.equal((await fetch(server.url, { method: 'POST', headers })).status, 201)
  t.equal((await fetch(server.url, { method: 'POST', headers: { ...headers, 'upload-metadata': 'filename ?hush' } })).status, 400)
  await until('it is logged', () => server.log.split('request completed').length === 3)
  t.match(server.log, /an upload was created/)
  t.notMatch(server.log, /hush|aHVzaA/)
})

t.test('whoever wants no such lines has none', async t => {
  const { app, lines } = await startLogged(t, 'warn')
  await createComplete(app, 'hello')
  t.strictSame(lines, [])
})
