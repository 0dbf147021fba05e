import type { FastifyInstance } from 'fastify'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Upload } from 'tus-js-client'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import { StopUpload, type TusOptions } from '../../lib/index.js'
import { startApp, type TestApp } from '../support/app.js'
import { BYTES, TUS, createComplete, createGate, createUpload, getOffset, head, listFiles, patch, post, terminate, until, type Headers } from '../support/http-tus.js'
import { formatHead, openRaw, type RawClient } from '../support/raw-socket.js'

/** A PATCH that has sent 2 of 5 bytes, and is being received. */
async function startSending (t: Test, { app, port, directory }: TestApp, headers: Headers = {}): Promise<{ url: string, client: RawClient }> {
  const url = await createUpload(app)
  const client = openRaw(t, port)
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '5', ...headers }) + 'he')
  await until('its first bytes are stored', async () => (await stat(join(directory, url.slice('/files/'.length)))).size === 2)
  return { url, client }
}

async function finish ({ client }: { client: RawClient }): Promise<void> {
  await client.send('llo')
  const answer = await client.receive('PATCH')
  if (answer?.status !== 204) throw new Error(`The PATCH was answered with ${answer?.status}`)
}

t.test('more bodies at once than one client may send are 429, and change nothing', async t => {
  const server = await startApp(t, { maxConcurrentUploads: 2 })
  const { app, directory } = server
  const idle = await createUpload(app)
  const running = [await startSending(t, server), await startSending(t, server)]
  const seen: string[] = []
  app.tus.addHook('preCreate', () => { seen.push('preCreate') })
  const before = await listFiles(directory)

  const refused = [await patch(app, idle, 0, 'hello'), await post(app, { ...BYTES, 'upload-length': '5' }, 'hello'), await patch(app, running[0]!.url, 2, 'llo')]
  for (const response of refused) {
    t.equal(response.statusCode, 429)
    t.match(response.headers['retry-after'], /^[1-9]\d*$/)
    t.match(response.json(), { code: 'TUS_ERR_TOO_MANY_UPLOADS', message: /^Only 2 requests/ })
    t.equal(response.headers['tus-resumable'], '1.0.0')
  }
  t.ok(refused[0]!.headers['upload-expires'], 'a PATCH is told when the upload expires')
  t.strictSame(seen, [], 'no hook was asked')
  t.strictSame(await listFiles(directory), before)
  for (const one of running) await t.resolves(finish(one), 'who was there before is not disturbed')
  t.equal((await patch(app, idle, 0, 'hello')).statusCode, 204)
})

t.test('what brings no bytes is not counted', async t => {
  const server = await startApp(t, { maxConcurrentUploads: 1 })
  const { app } = server
  const complete = await createComplete(app, 'hello')
  const running = await startSending(t, server)
  const url = await createUpload(app)
  t.equal((await head(app, url)).statusCode, 200)
  t.equal((await patch(app, url, 0, '')).statusCode, 204)
  t.equal((await app.inject(complete)).statusCode, 200)
  t.equal((await terminate(app, url)).statusCode, 204)
  await finish(running)
})

t.test('a chunked body is counted although it tells no length', async t => {
  const server = await startApp(t, { maxConcurrentUploads: 1 })
  const running = await startSending(t, server)
  const url = await createUpload(server.app)
  const client = openRaw(t, server.port)
  await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'transfer-encoding': 'chunked' }))
  t.match(await client.receive('PATCH'), { status: 429, headers: { connection: 'close' } })
  await finish(running)
})

t.test('the application says whom a request counts for', async t => {
  const server = await startApp(t, { maxConcurrentUploads: { max: 1, key: request => String(request.headers['x-user']) } })
  const { app } = server
  const running = await startSending(t, server, { 'x-user': 'ann' })
  const url = await createUpload(app)
  t.equal((await patch(app, url, 0, 'hello', { 'x-user': 'ann' })).statusCode, 429)
  t.equal((await patch(app, url, 0, 'hello', { 'x-user': 'bob' })).statusCode, 204)
  await finish(running)
})

t.test('a function that names nobody does not let a request in', async t => {
  for (const [answer, statusCode, code] of [
    [() => undefined, 500, 'TUS_ERR_HOOK_RESULT'], [() => 7, 500, 'TUS_ERR_HOOK_RESULT'],
    [async () => 'ann', 500, 'TUS_ERR_HOOK_RESULT'], [() => { throw new Error('the database is away') }, 500, 'TUS_ERR_HOOK_RESULT'],
    [() => { throw Object.assign(new Error('who are you?'), { statusCode: 401 }) }, 401, undefined]
  ] as const) {
    const { app } = await startApp(t, { maxConcurrentUploads: { max: 1, key: answer as never } })
    const url = await createUpload(app)
    const response = await patch(app, url, 0, 'hello')
    t.equal(response.statusCode, statusCode)
    t.equal(response.json().code, code)
    t.equal(await getOffset(app, url), '0')
  }
})

/** What ends a request that was counted, each in a way of its own. */
const ENDS: Readonly<Record<string, { options?: TusOptions, run: (t: Test, server: TestApp) => Promise<unknown> }>> = {
  'its last byte': { run: async (_t, { app }) => patch(app, await createUpload(app), 0, 'hello') },
  'a POST that is done': { run: async (_t, { app }) => post(app, { ...BYTES, 'upload-length': '5' }, 'hello') },
  'a client that left': { run: async (t, server) => (await startSending(t, server)).client.reset() },
  'a stall': { options: { stallTimeout: 50 }, run: async (t, server) => (await startSending(t, server)).client.receive('PATCH') },
  'too slow a body': { options: { minRate: { bytes: 100, window: 50 } }, run: async (t, server) => (await startSending(t, server)).client.receive('PATCH') },
  'another request that takes over': { run: async (t, server) => head(server.app, (await startSending(t, server)).url) },
  'a wrong offset': { run: async (_t, { app }) => patch(app, await createUpload(app), 3, 'hello') },
  'an upload that is not there': { run: async (_t, { app }) => patch(app, '/files/none', 0, 'hello') },
  'too long a body': { run: async (_t, { app }) => patch(app, await createUpload(app), 0, 'hello!') },
  'a wrong checksum': { run: async (_t, { app }) => patch(app, await createUpload(app), 0, 'hello', { 'upload-checksum': 'crc32 AAAAAA==' }) },
  'a hook that refuses access': { run: async (_t, { app }) => { app.tus.addHook('preAccess', refuseOnce()); return patch(app, await createUpload(app), 0, 'hello') } },
  'a hook that refuses to create': { run: async (_t, { app }) => { app.tus.addHook('preCreate', refuseOnce()); return post(app, { ...BYTES, 'upload-length': '5' }, 'hello') } },
  'a hook that refuses to finish': { run: async (_t, { app }) => { app.tus.addHook('preFinish', refuseOnce()); return patch(app, await createUpload(app), 0, 'hello') } },
  'a hook that stops the upload': { run: async (_t, { app }) => { app.tus.addHook('postReceive', stopOnce()); return patch(app, await createUpload(app), 0, 'hello') } },
  'a storage that fails': {
    options: { storage: { ...createMemoryStorage(), append: failOnce() } },
    run: async (_t, { app }) => patch(app, await createUpload(app), 0, 'hello')
  },
  'a lock that does not become free': {
    options: { lockTimeout: 50 },
    run: async (_t, { app }) => {
      const gate = createGate()
      const begun = createGate()
      app.tus.addHook('preTerminate', () => {
        begun.open()
        return gate.passed
      })
      const url = await createUpload(app)
      const holder = terminate(app, url)
      await begun.passed
      if ((await patch(app, url, 0, 'hello')).statusCode !== 423) throw new Error('The lock was free')
      gate.open()
      await holder
    }
  }
}

function refuseOnce (): () => void {
  let refused = false
  return () => {
    if (refused) return
    refused = true
    throw Object.assign(new Error('no'), { statusCode: 403 })
  }
}

function stopOnce (): () => void {
  let stopped = false
  return () => {
    if (stopped) return
    stopped = true
    throw new StopUpload('enough')
  }
}

function failOnce () {
  const { append } = createMemoryStorage()
  let failed = false
  return async (...args: Parameters<typeof append>) => {
    if (failed) return append(...args)
    failed = true
    throw new Error('the disk is gone')
  }
}

for (const [end, { options, run }] of Object.entries(ENDS)) {
  t.test(`behind ${end}, the next one is let in`, async t => {
    const server = await startApp(t, { maxConcurrentUploads: 1, ...options })
    await run(t, server)
    // One that left may still be counted for a moment.
    await until('a place is free', async () => await tryOne(server.app) !== 429)
    t.equal(await tryOne(server.app, 2), 429, 'and it is one place, not two')
  })
}

/** The status of the last of `count` requests that send at once. */
async function tryOne (app: FastifyInstance, count = 1): Promise<number> {
  const urls: string[] = []
  for (let index = 0; index < count; index++) urls.push(await createUpload(app))
  const answers = await Promise.all(urls.map(url => patch(app, url, 0, 'hello')))
  return answers.at(-1)!.statusCode
}

t.test('tus-js-client waits for its turn where it is told to', async t => {
  const server = await startApp(t, { maxConcurrentUploads: 1 })
  const running = await startSending(t, server)
  const send = (onShouldRetry?: () => boolean) => new Promise<string>((resolve, reject) => {
    new Upload(Buffer.from('hello'), {
      endpoint: server.url,
      retryDelays: [50, 50, 50, 100, 200, 500, 1000, 2000],
      ...onShouldRetry && { onShouldRetry },
      onSuccess: () => resolve(''),
      onError: error => reject(error)
    }).start()
  })
  await t.rejects(send(), { message: /response code: 429/ }, 'by itself it takes 429 for final')
  const sent = send(() => true)
  await finish(running)
  await t.resolves(sent)
})
