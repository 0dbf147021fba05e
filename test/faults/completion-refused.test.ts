import Fastify, { type FastifyInstance } from 'fastify'
import { execFileSync } from 'node:child_process'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Upload } from 'tus-js-client'
import { createFsStorage } from '../../adapters/fs/index.js'
import fastifyTus, { type Storage } from '../../lib/index.js'
import { skip as noAzure } from '../support/azure/azurite.js'
import { setUp as setUpAzure } from '../support/azure/storages.js'
import { head, makeBytes } from '../support/http-tus.js'
import type { Fault, S3Proxy } from '../support/s3/proxy.js'
import { MIB, setUp } from '../support/s3/storages.js'
import { findLackOfMounts, SmallDisk } from '../support/small-disk.js'

// All bytes of an upload are stored, and the storage refuses to complete it, for good or for minutes: no client may take it for a file. Once it may be
// completed, it is, and its hooks run once.

/** A storage that can be told to refuse what completes an upload. */
interface Place {
  readonly storage: Storage
  readonly refuse: (id: string) => void
  readonly allow: (id: string) => void
}

const SETTINGS = ['with finish hooks', 'without hooks'] as const
type Setting = typeof SETTINGS[number]

async function tryIn (t: Test, { storage, refuse, allow }: Place, size: number, setting: Setting): Promise<void> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage, expiration: { incomplete: 3_600_000, sweepInterval: null } })
  const finished: string[] = []
  let isRefused = true
  if (setting === 'with finish hooks') {
    // Every byte is stored then.
    app.tus.addHook('preFinish', (_request, { id }) => { if (isRefused) refuse(id) })
    app.tus.addHook('postFinish', (_request, { id }) => { finished.push(id) })
  }
  app.tus.addHook('postCreate', (_request, { id }) => { if (setting === 'without hooks') refuse(id) })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo

  const bytes = makeBytes(size)
  const client = new Client(bytes, `http://127.0.0.1:${port}/files`)
  t.equal(await client.run(), 'failed', 'the client is told that it failed')
  const path = new URL(client.url).pathname
  const id = path.split('/').at(-1)!
  await expectNoFile(t, app, path, size)
  t.match(await app.tus.sweep(), { finished: 0 })
  await expectNoFile(t, app, path, size)
  t.strictSame(finished, [])

  isRefused = false
  allow(id)
  t.equal(await client.run(), 'uploaded', 'the same client, started again')
  t.equal(new URL(client.url).pathname, path, 'on the upload that it had')
  t.ok((await app.inject(path)).rawPayload.equals(bytes), 'byte for byte')
  t.match(await head(app, path), { statusCode: 200, headers: { 'upload-offset': String(size) } })
  await app.tus.sweep()
  t.strictSame(finished, setting === 'with finish hooks' ? [id] : [], 'its hooks ran once')
}

async function expectNoFile (t: Test, app: FastifyInstance, path: string, size: number): Promise<void> {
  const { statusCode, headers } = await head(app, path)
  if (statusCode === 423) t.match(headers, { 'retry-after': /^\d+$/, 'upload-offset': undefined }, 'HEAD: ask later')
  else t.ok(statusCode === 200 && Number(headers['upload-offset']) < size, `HEAD: ${statusCode}, not all of it: ${headers['upload-offset']}`)
  t.equal((await app.inject(path)).statusCode, 404, 'GET')
}

/** tus-js-client, which can be started again. */
class Client {
  readonly #upload: Upload
  #settle = (_outcome: 'uploaded' | 'failed') => {}

  constructor (bytes: Buffer, endpoint: string) {
    this.#upload = new Upload(bytes, {
      endpoint,
      uploadSize: bytes.length,
      retryDelays: [0, 10, 20],
      onSuccess: () => this.#settle('uploaded'),
      onError: () => this.#settle('failed')
    })
  }

  get url (): string {
    return String(this.#upload.url)
  }

  run (): Promise<'uploaded' | 'failed'> {
    return new Promise(resolve => {
      this.#settle = resolve
      this.#upload.start()
    })
  }
}

function behind (proxy: S3Proxy, storage: Storage, isRefused: (call: { readonly operation: string, readonly key: string, readonly method: string }, id: string) => boolean, fault: Fault): Place {
  return {
    storage,
    refuse: id => { proxy.intercept = call => isRefused(call, id) ? fault : null },
    allow: () => { proxy.intercept = () => null }
  }
}

const REFUSALS: ReadonlyArray<readonly [status: number, code: string]> = [
  [403, 'AccessDenied'], [403, 'KMS.AccessDeniedException'], [400, 'KMS.DisabledException'], [500, 'InternalError'], [503, 'SlowDown'], [400, 'ExpiredToken'], [403, 'RequestTimeTooSkewed']
]

const SMALL = REFUSALS.map(([what, code]) => ({ what, code, name: 'a small upload', size: 5 }))
const MULTIPART = [REFUSALS[0]!, REFUSALS[3]!].map(([what, code]) => ({ what, code, name: 'a multipart upload', size: 6 * MIB }))

for (const { what, code, name, size } of [...SMALL, ...MULTIPART]) {
  for (const setting of SETTINGS) {
    // The storage tries for seconds to find out what became of a request that failed: once will do.
    if (what === 500 && size > MIB && setting === 'without hooks') continue
    t.test(`S3 answers ${what} ${code} to what completes ${name}, ${setting}`, async t => {
      const { prefix, open } = await setUp(t)
      const { storage, proxy } = await open()
      const completes = ['CompleteMultipartUpload', 'PutObject']
      await tryIn(t, behind(proxy, storage, ({ operation, key }, id) => completes.includes(operation) && key === prefix + id, { when: 'before', what, code }), size, setting)
    })
  }
}

for (const [what, code] of [[403, 'AuthorizationPermissionMismatch'], [500, 'InternalError']] as const) {
  for (const setting of SETTINGS) {
    t.test(`Azure answers ${what} ${code} to every write that commits, ${setting}`, { skip: noAzure }, async t => {
      const { open } = await setUpAzure(t)
      const { storage, proxy } = await open()
      await tryIn(t, behind(proxy, storage, ({ method }) => method === 'PUT', { when: 'before', what, code }), 5, setting)
    })
  }
}

const lacking = findLackOfMounts(t)

t.test('filesystem: a record that may not be replaced (EPERM)', { skip: lacking }, async t => {
  const { directory } = SmallDisk.ext4(t)
  const protect = (flag: '+i' | '-i') => (id: string) => { execFileSync('chattr', [flag, join(directory, `${id}.json`)]) }
  await tryIn(t, { storage: createFsStorage({ directory }), refuse: protect('+i'), allow: protect('-i') }, 5, 'with finish hooks')
})

t.test('filesystem: a disk that is mounted read-only behind the last byte (EROFS)', { skip: lacking }, async t => {
  const { directory } = SmallDisk.ext4(t)
  const mount = (mode: 'ro' | 'rw') => () => { execFileSync('mount', ['-o', `remount,${mode}`, join(directory, '..')]) }
  await tryIn(t, { storage: createFsStorage({ directory, locks: 'process' }), refuse: mount('ro'), allow: mount('rw') }, 5, 'with finish hooks')
})
