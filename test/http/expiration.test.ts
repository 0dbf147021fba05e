import Fastify, { type FastifyInstance } from 'fastify'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import fastifyTus, { type TusOptions } from '../../lib/index.js'
import type { Storage } from '../../lib/storage.js'
import { makeDirectory } from '../support/app.js'
import { BYTES, TUS, createComplete, createGate, createUpload, getOffset, getPath, head, listFiles, makeBytes, patch, post, sleep, terminate, until } from '../support/http-tus.js'
import { untilReceived } from '../support/observed.js'
import { formatHead, openRaw } from '../support/raw-socket.js'

const HOUR = 3_600_000

/** Lets time pass: the clock that says whether an upload has expired goes ahead by `milliseconds`. */
function travel (milliseconds: number): void {
  ahead = milliseconds
}

/** Stops that clock at `time` while it does something. */
async function at<Result> (time: number, act: () => Promise<Result>): Promise<Result> {
  stopped = time
  try {
    return await act()
  } finally {
    stopped = null
  }
}

let ahead = 0
let stopped: number | null = null
const now = Date.now
Date.now = () => stopped ?? now() + ahead
t.beforeEach(() => travel(0))

const IMF_FIXDATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d{2}:\d{2}:\d{2} GMT$/

/** How far away the expiry is that a response tells, in ms, with the second that its form takes; `null` if it tells none. */
function getLeft ({ headers }: { headers: Readonly<Record<string, unknown>> }): number | null {
  const expires = headers['upload-expires']
  return expires === undefined ? null : Date.parse(String(expires)) - Date.now()
}

function isAbout (left: number | null, expected: number, tolerance = 20_000): boolean {
  return left !== null && left <= expected + 1000 && left > expected - tolerance
}

for (const kind of ['filesystem', 'memory'] as const) {
  interface Made {
    readonly app: FastifyInstance
    readonly storage: Storage
    readonly directory: string
    /** Another application on the same storage, as another process would have it. */
    readonly another: (options?: TusOptions) => Promise<FastifyInstance>
  }

  const make = async (t: Test, options: TusOptions = {}, wrap = (storage: Storage) => storage): Promise<Made> => {
    const directory = await makeDirectory(t)
    const memory = createMemoryStorage()
    const open = () => kind === 'memory' ? memory : createFsStorage({ directory })
    const another = async (more: TusOptions = {}, storage = open()) => {
      const app = Fastify()
      t.teardown(() => app.close())
      await app.register(fastifyTus, { storage, ...options, ...more })
      return app
    }
    const storage = wrap(open())
    return { app: await another({}, storage), storage, directory, another: more => another(more) }
  }

  t.test(kind, async t => {
    t.test('EX-1: OPTIONS tells whether uploads expire', async t => {
      const announced = async (options: TusOptions) => {
        const { app } = await make(t, options)
        return String((await app.inject({ method: 'OPTIONS', url: '/files' })).headers['tus-extension']).split(',').includes('expiration')
      }
      t.equal(await announced({}), true)
      t.equal(await announced({ expiration: false }), false)
      t.equal(await announced({ extensions: ['creation'] }), false)
    })

    t.test('EX-2, EX-3, EX-6: POST, PATCH and HEAD tell when, 24 hours after the last byte where nothing else is said', async t => {
      const { app } = await make(t)
      const created = await post(app, { 'upload-length': '5' })
      const url = getPath(created)
      for (const response of [created, await head(app, url), await patch(app, url, 0, 'hel'), await head(app, url)]) {
        t.match(response.headers['upload-expires'], IMF_FIXDATE)
        t.ok(isAbout(getLeft(response), 24 * HOUR))
      }
      t.ok(isAbout(getLeft(await post(app, { 'upload-length': '5', ...BYTES }, 'hel')), 24 * HOUR))
    })

    t.test('EX-2: errors that answer a PATCH tell it as well', async t => {
      const { app } = await make(t, { expiration: { incomplete: HOUR }, lockTimeout: 50 })
      const url = await createUpload(app, { 'upload-length': '5' })
      const refusals = {
        409: () => patch(app, url, 3, 'lo'),
        413: () => patch(app, url, 0, 'too long'),
        460: () => patch(app, url, 0, 'hello', { 'upload-checksum': 'sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=' }),
        400: () => patch(app, url, 0, 'hello', { 'upload-length': '7' })
      }
      const unread = {
        415: () => patch(app, url, 0, 'hello', { 'content-type': 'text/plain' }),
        '400 for an offset that is none': () => app.inject({ method: 'PATCH', url, headers: { ...TUS, ...BYTES, 'upload-offset': '-1' }, payload: 'hello' })
      }
      for (const [status, refuse] of Object.entries({ ...refusals, ...unread })) {
        const response = await refuse()
        t.equal(response.statusCode, Number.parseInt(status))
        t.ok(isAbout(getLeft(response), HOUR), `${status}: ${response.headers['upload-expires']}`)
      }
      const gate = createGate()
      const begun = createGate()
      app.tus.addHook('preTerminate', async () => {
        begun.open()
        await gate.passed
        throw Object.assign(new Error('stays'), { statusCode: 403 })
      })
      const busy = terminate(app, url)
      await begun.passed
      const locked = await patch(app, url, 0, 'hello')
      gate.open()
      await busy
      t.equal(locked.statusCode, 423)
      t.ok(isAbout(getLeft(locked), HOUR), `423: ${locked.headers['upload-expires']}`)
      app.tus.addHook('preAccess', () => { throw Object.assign(new Error('no'), { statusCode: 403 }) })
      const forbidden = await patch(app, url, 0, 'hello')
      t.equal(forbidden.statusCode, 403)
      t.ok(isAbout(getLeft(forbidden), HOUR), '403')
    })

    t.test('EX-4: the time counts from the last byte; an empty PATCH and a HEAD are no byte', async t => {
      const { app } = await make(t, { expiration: { incomplete: HOUR, sweepInterval: null } })
      const created = await post(app, { 'upload-length': '50' })
      const url = getPath(created)
      const getEnd = ({ headers }: { headers: Readonly<Record<string, unknown>> }) => Date.parse(String(headers['upload-expires']))
      // What is told may be wrong by the second that its form takes.
      const isThereAfter = async (end: number) => (await at(end + 1000, () => head(app, url))).statusCode === 200
      await sleep(2_200)
      t.equal(await isThereAfter(getEnd(created)), false)
      const appended = await patch(app, url, 0, 'x')
      t.equal(appended.statusCode, 204)
      t.equal(await isThereAfter(getEnd(created)), true, 'something came two seconds later')
      await sleep(2_200)
      t.equal((await patch(app, url, 1, '')).statusCode, 204)
      t.equal((await head(app, url)).statusCode, 200)
      t.equal(await isThereAfter(getEnd(appended)), false)
    })

    t.test('EX-2, EX-4: what an interrupted PATCH brought counts in its own response', async t => {
      const { app } = await make(t, { expiration: { incomplete: HOUR }, stallTimeout: 100 })
      const { port } = await listen(app)
      const url = await createUpload(app, { 'upload-length': '50' })
      const client = openRaw(t, port)
      await sleep(2100)
      const before = Date.now()
      await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, 'upload-offset': '0', 'content-length': '50' }) + 'hello')
      const stalled = await client.receive('PATCH')
      t.match(stalled, { status: 503, headers: { 'upload-offset': '5' } })
      t.ok(Date.parse(stalled!.headers['upload-expires']!) >= before + HOUR - 1000)
    })

    t.test('EX-5: afterwards everything answers 410 while the upload is known, and after the sweep too; what never was is 404', async t => {
      const { app, another } = await make(t, { expiration: { incomplete: HOUR, sweepInterval: null } })
      const url = await createUpload(app)
      const id = url.slice('/files/'.length)
      await patch(app, url, 0, 'hel')
      travel(2 * HOUR)
      const check = async (app: FastifyInstance, status: number) => {
        for (const response of [await head(app, url), await patch(app, url, 3, 'lo'), await app.inject(url), await terminate(app, url)]) {
          t.equal(response.statusCode, status)
          t.equal(response.headers['upload-offset'], undefined)
        }
        t.equal(await app.tus.find(id), null)
      }
      await check(app, 410)
      t.match(await app.tus.sweep(), { expired: 1, failed: 0 })
      await check(app, 410)
      await check(await another(), 404)
      t.equal((await head(app, '/files/never')).statusCode, 404)
    })

    t.test('EX-7: a complete upload tells nothing and stays', async t => {
      const { app } = await make(t, { expiration: { incomplete: HOUR, sweepInterval: null } })
      const created = await post(app, { 'upload-length': '5', ...BYTES }, 'hello')
      t.equal(getLeft(created), null)
      const url = await createUpload(app)
      t.equal(getLeft(await patch(app, url, 0, 'hello')), null)
      const empty = await post(app, { 'upload-length': '0' })
      t.equal(getLeft(empty), null)
      travel(2 * HOUR)
      t.match(await app.tus.sweep(), { expired: 0, failed: 0 })
      for (const path of [getPath(created), url, getPath(empty)]) {
        const told = await head(app, path)
        t.equal(told.statusCode, 200)
        t.equal(getLeft(told), null)
      }
      t.equal((await app.inject(url)).body, 'hello')
    })

    t.test('EX-7: unless that is asked for: complete ones have a time of their own', async t => {
      const { app } = await make(t, { expiration: { incomplete: null, complete: HOUR, sweepInterval: null } })
      const url = await createUpload(app)
      t.equal(getLeft(await head(app, url)), null)
      travel(2 * HOUR)
      t.match(await app.tus.sweep(), { expired: 0 })
      travel(0)
      const completed = await patch(app, url, 0, 'hello')
      t.ok(isAbout(getLeft(completed), HOUR))
      t.equal((await app.inject(url)).body, 'hello')
      travel(2 * HOUR)
      t.equal((await app.inject(url)).statusCode, 410)
      t.match(await app.tus.sweep(), { expired: 1 })
    })

    t.test('EX-3: what preCreate decides for one upload comes first', async t => {
      const { app } = await make(t, { expiration: { incomplete: HOUR, sweepInterval: null } })
      app.tus.addHook('preCreate', (_request, { length }) => ({ expiresAt: new Date(Date.now() + Number(length) * HOUR) }))
      const long = await post(app, { 'upload-length': '7' })
      t.ok(isAbout(getLeft(long), 7 * HOUR))
      t.ok(isAbout(getLeft(await patch(app, getPath(long), 0, '1234567')), 7 * HOUR), 'complete or not')
      const gone = await createUpload(app, { 'upload-length': '0' })
      t.equal((await head(app, gone)).statusCode, 410)
    })

    t.test('the sweeper runs by itself, removes what expired with all its files and tells postExpire', async t => {
      const { app, directory } = await make(t, { expiration: { incomplete: HOUR, sweepInterval: 50 } })
      const expired: string[] = []
      app.tus.addHook('postExpire', ({ id }) => { expired.push(id) })
      const kept = await createComplete(app, 'hello')
      const gone = [await createUpload(app), await createUpload(app), await createUpload(app, { 'upload-length': '5', 'upload-concat': 'partial' })]
      await patch(app, gone[1]!, 0, 'hel')
      travel(2 * HOUR)
      await until('three are gone', () => expired.length === 3)
      t.same(expired.sort(), gone.map(url => url.slice('/files/'.length)).sort())
      for (const url of gone) t.equal((await head(app, url)).statusCode, 410)
      t.equal((await app.inject(kept)).body, 'hello')
      if (kind === 'filesystem') t.equal((await listFiles(directory)).length, 2)
    })

    t.test('the sweeper finishes what is complete and was not finished, and never removes that', async t => {
      const { app } = await make(t, { expiration: { incomplete: HOUR, complete: HOUR, sweepInterval: null } })
      const finished: string[] = []
      let refuse = true
      app.tus.addHook('preFinish', () => { if (refuse) throw Object.assign(new Error('not now'), { statusCode: 503 }) })
      app.tus.addHook('postFinish', (_request, { id }) => { finished.push(id) })
      const url = await createUpload(app)
      const refused = await patch(app, url, 0, 'hello')
      t.equal(refused.statusCode, 503)
      t.equal(getLeft(refused), null, 'it is not going to expire')
      travel(2 * HOUR)
      t.match(await app.tus.sweep(), { expired: 0, finished: 0, failed: 1 })
      t.match(await head(app, url), { statusCode: 423 })
      refuse = false
      t.match(await app.tus.sweep(), { expired: 0, finished: 1, failed: 0 })
      t.same(finished, [url.slice('/files/'.length)])
      t.match(await app.tus.sweep(), { expired: 1, finished: 0 }, 'and from now on it is a complete one, that expires')
    })

    t.test('the sweeper runs postFinish of what was complete when its process died', async t => {
      const { app, storage } = await make(t)
      const finished: string[] = []
      app.tus.addHook('postFinish', (_request, { id }) => { finished.push(id) })
      const url = await createUpload(app)
      const id = url.slice('/files/'.length)
      const bytes = [[Buffer.from('hello')]]
      await storage.append(id, { offset: 0, keep: 'prefix', body: { next: async () => bytes.shift() ?? null } })
      await storage.complete(id)
      t.match(await app.tus.sweep(), { finished: 1 })
      t.match(await app.tus.sweep(), { finished: 0 })
      t.same(finished, [id])
    })

    t.test('an error on one upload keeps the sweeper from no other', async t => {
      const { app } = await make(t, { expiration: { incomplete: HOUR, sweepInterval: null } }, storage => ({
        ...storage,
        async remove (id) {
          if (id === 'b') throw new Error('the device is broken')
          return storage.remove(id)
        }
      }))
      for (const id of ['a', 'b', 'c']) {
        app.tus.addHook('preCreate', (_request, { metadata }) => metadata.name === id ? { id } : {})
        await createUpload(app, { 'upload-length': '5', 'upload-metadata': `name ${Buffer.from(id).toString('base64')}` })
      }
      travel(2 * HOUR)
      t.match(await app.tus.sweep(), { expired: 2, failed: 1 })
      t.match(await app.tus.sweep(), { expired: 0, failed: 1 })
    })

    t.test('an upload that can not even be read keeps the sweeper from no other', { skip: kind === 'memory' }, async t => {
      const { app, directory } = await make(t, { expiration: { incomplete: HOUR, sweepInterval: null } })
      await createUpload(app)
      await writeFile(join(directory, 'broken.json'), '{"version":1,"marked":\n')
      await writeFile(join(directory, 'broken'), 'bytes')
      await createUpload(app)
      travel(2 * HOUR)
      t.match(await app.tus.sweep(), { expired: 2, failed: 1 })
      t.same((await listFiles(directory)).map(file => file.split(' ')[0]), ['broken', 'broken.json'])
    })

    t.test('a sweep does not interrupt a PATCH, however long that takes', async t => {
      // The clock jumps further than any file stays temporary.
      const { app } = await make(t, { expiration: { incomplete: HOUR, sweepInterval: null } }, ({ tidy, ...storage }) => storage)
      const { port } = await listen(app)
      const content = makeBytes(50)
      for (const headers of [{}, { trailer: 'upload-checksum', 'upload-checksum': 'crc32 AAAAAA==' }]) {
        travel(0)
        const url = await createUpload(app, { 'upload-length': '50' })
        const client = openRaw(t, port)
        await client.send(formatHead('PATCH', url, { ...TUS, ...BYTES, ...headers, 'upload-offset': '0', 'content-length': '50' }))
        await untilReceived(url, 0)
        for (let sent = 0; sent < 50; sent += 10) {
          travel((sent + 10) * HOUR)
          // Before the last piece: what a refused body leaves may expire.
          t.match(await app.tus.sweep(), { expired: 0, failed: 0 })
          await client.send(content.subarray(sent, sent + 10))
        }
        const answer = await client.receive('PATCH')
        t.equal(answer?.status, 'trailer' in headers ? 400 : 204, 'the trailer that was announced never comes')
        if (answer?.status === 204) t.ok((await app.inject(url)).rawPayload.equals(content))
      }
    })

    t.test('expiry that races with a PATCH: the upload is there whole, or the PATCH is told', async t => {
      const { app } = await make(t, { expiration: { incomplete: 60, sweepInterval: null } })
      const statuses = new Set<number>()
      for (let wait = 30; wait < 90; wait += 6) {
        const url = await createUpload(app)
        await sleep(wait)
        const [patched] = await Promise.all([patch(app, url, 0, 'hello'), app.tus.sweep(), app.tus.sweep()])
        statuses.add(patched.statusCode)
        if (patched.statusCode === 204) t.equal((await app.inject(url)).body, 'hello')
        else t.equal(await getOffset(app, url), undefined)
      }
      t.ok([...statuses].every(status => status === 204 || status === 410), [...statuses].join(' '))
    })

    t.test('several processes that sweep at once do no harm', async t => {
      const { app, another } = await make(t, { expiration: { incomplete: HOUR, sweepInterval: null } })
      const apps = [app, await another(), await another()]
      const kept = await createComplete(app, 'hello')
      const gone: string[] = []
      for (let count = 0; count < 30; count++) gone.push(await createUpload(app))
      app.tus.addHook('preCreate', () => ({ expiresAt: new Date(now() + 4 * HOUR) }))
      const fresh = await createUpload(app)
      await patch(app, fresh, 0, 'hel')
      travel(2 * HOUR)
      const counts = await Promise.all(apps.map(app => app.tus.sweep()))
      t.same(counts.map(({ failed }) => failed), [0, 0, 0])
      for (const url of gone) t.ok([404, 410].includes((await head(app, url)).statusCode))
      t.equal((await app.inject(kept)).body, 'hello')
      t.equal((await patch(app, fresh, 3, 'lo')).statusCode, 204)
    })

    t.test('a partial upload expires like an incomplete one, complete or not, and what was made of it stays', async t => {
      const { app } = await make(t, { expiration: { incomplete: HOUR, sweepInterval: null } })
      const part = await createUpload(app, { 'upload-length': '5', 'upload-concat': 'partial' })
      t.ok(isAbout(getLeft(await patch(app, part, 0, 'hello')), HOUR))
      const final = getPath(await post(app, { 'upload-concat': `final;${part} ${part}` }))
      t.equal(getLeft(await head(app, final)), null)
      travel(2 * HOUR)
      t.match(await app.tus.sweep(), { expired: 1, failed: 0 })
      t.equal((await head(app, part)).statusCode, 410)
      t.equal((await app.inject(final)).body, 'hellohello')
      t.equal((await post(app, { 'upload-concat': `final;${part}` })).statusCode, 400, 'a part that has expired is none')
    })

    t.test('a final upload whose parts never come expires', async t => {
      const { app } = await make(t, { expiration: { incomplete: HOUR, sweepInterval: null } })
      const part = await createUpload(app, { 'upload-length': '5', 'upload-concat': 'partial' })
      const final = await post(app, { 'upload-concat': `final;${part}` })
      t.ok(isAbout(getLeft(final), HOUR))
      travel(2 * HOUR)
      t.match(await app.tus.sweep(), { expired: 2, failed: 0 })
      t.equal((await head(app, getPath(final))).statusCode, 410)
    })
  })
}

async function listen (app: FastifyInstance): Promise<{ port: number }> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return app.server.address() as { port: number }
}
