import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { createS3Storage } from '../../adapters/s3/index.js'
import { adopt, CONTENT, createAdoption, goOn, listKeys, makeBucket, MIB, runAdoption, type Origin } from '../support/adopt-bucket.js'
import { startApp } from '../support/app.js'
import { begin, hasTusd, send, startTusd, startTusServer, type Begun } from '../support/foreign-servers.js'
import { TUS } from '../support/http-tus.js'
import { createClient } from '../support/s3/bucket.js'
import { S3Proxy } from '../support/s3/proxy.js'
import { ServerProcess } from '../support/server-process.js'
import { download, sha256 } from '../support/tus-client-bytes.js'

// Real uploads to the other servers on S3, which are then stopped; their buckets are adopted, and the clients go on where they were.

const SERVERS = { 'tus-server': startTusServer, tusd: startTusd }
const PREFIX = { 'tus-server': '', tusd: 'incoming/' }
const NEEDS_TUSD = hasTusd() ? false : 'tusd is not installed'
const METADATA = { filename: 'Grüße.bin', filetype: 'application/octet-stream' }

/** Uploads that end in every way, and how many bytes of each can be told to be right. */
async function beginAll (url: string): Promise<Array<Begun & { readonly kept: number }>> {
  return [
    { ...await begin(url, { name: 'complete', content: CONTENT, pieces: [6 * MIB, 7 * MIB], metadata: METADATA }), kept: 13 * MIB },
    { ...await begin(url, { name: 'complete and small', content: CONTENT.subarray(0, 1000), pieces: [1000] }), kept: 1000 },
    { ...await begin(url, { name: 'of parts', content: CONTENT, pieces: [10 * MIB], metadata: METADATA }), kept: 10 * MIB },
    { ...await begin(url, { name: 'of parts and a tail', content: CONTENT, pieces: [11 * MIB] }), kept: 11 * MIB },
    { ...await begin(url, { name: 'of a tail that may follow a part that is lost', content: CONTENT, pieces: [6 * MIB] }), kept: 5 * MIB },
    { ...await begin(url, { name: 'small, of a tail', content: CONTENT.subarray(0, MIB), pieces: [1000, 2000] }), kept: 3000 },
    { ...await begin(url, { name: 'created', content: CONTENT, pieces: [] }), kept: 0 }
  ]
}

function getId ({ path }: Begun): string {
  return decodeURIComponent(path.split('/').at(-1)!).split('+')[0]!
}

async function fill (t: Test, from: Origin) {
  const place = await makeBucket(t, PREFIX[from])
  const server = await SERVERS[from](t, place)
  const begun = await beginAll(server.url)
  await server.stop()
  return { place, begun }
}

for (const from of ['tus-server', 'tusd'] as const) {
  t.test(`uploads of ${from} on S3 go on under their paths`, { skip: from === 'tusd' && NEEDS_TUSD }, async t => {
    const { place, begun } = await fill(t, from)
    const before = await listKeys(place)
    const dry = await adopt(from, place)
    t.match(dry, { code: 0, stdout: 'would adopt 2 complete and 5 incomplete uploads, left 0\n' }, dry.stderr)
    t.same(await listKeys(place), before, 'without --write, nothing changes')

    const run = await adopt(from, place, '--write')
    t.match(run, { code: 0, stdout: 'adopted 2 complete and 5 incomplete uploads, left 0\n' }, run.stderr)
    t.match(run.stdout, 'incomplete, 5242880 of 13631488 bytes; the last 1048576 bytes have to be sent again\n')
    const keys = await listKeys(place)
    t.same(keys.filter(key => key.startsWith(`${place.prefix}.adopted/`) && key.endsWith('.info')), begun.map(upload => `${place.prefix}.adopted/${getId(upload)}.info`).sort())
    t.same(keys.filter(key => key.endsWith('.part') && !key.includes('.adopted/')), [])
    t.match((await adopt(from, place, '--write')).stdout, 'left 0, 7 adopted before\n')

    process.env.AWS_ACCESS_KEY_ID = place.accessKeyId
    process.env.AWS_SECRET_ACCESS_KEY = place.secretAccessKey
    const flags = ['--s3-bucket', place.bucket, '--s3-endpoint', place.endpoint, '--s3-prefix', place.prefix, ...from === 'tusd' ? ['--tusd-urls'] : []]
    const server = await ServerProcess.start(t, { flags })
    const { origin } = new URL(server.url)
    for (const upload of begun) await goOn(t, origin, upload)
    for (const upload of begun) {
      await send(origin + upload.path, 'DELETE', TUS, 204)
      await send(origin + upload.path, 'HEAD', TUS, 404)
    }
    await server.kill('SIGTERM')
    t.same((await listKeys(place)).filter(key => !key.includes('.adopted/')), [], 'removed, they leave nothing')
    const { Uploads = [] } = await place.client.send(new ListMultipartUploadsCommand({ Bucket: place.bucket }))
    t.same(Uploads, [])
  })
}

t.test('wherever the adoption on S3 breaks off, nothing is lost, and the next one comes to the end', async t => {
  const place = await makeBucket(t, '')
  const proxy = await S3Proxy.start(t, place.endpoint)
  const client = createClient(t, { ...place, endpoint: proxy.endpoint }, { maxAttempts: 1 })
  const content = CONTENT.subarray(0, 6 * MIB)
  for (let step = 1, broken = true; broken; step++) {
    const server = await startTusServer(t, place)
    const begun = await begin(server.url, { name: `step ${step}`, content, pieces: [5.5 * MIB] })
    await server.stop()
    proxy.reset()
    let writes = 0
    broken = false
    proxy.intercept = ({ method, key }) => {
      // Those of the check at the start change nothing.
      if (method === 'GET' || method === 'HEAD' || key.endsWith('.tmp') || ++writes !== step) return null
      broken = true
      return { when: step % 2 === 0 ? 'before' : 'after', what: 'reset' }
    }
    const adoption = { ...createAdoption('tus-server', place), client }
    await runAdoption(adoption).catch(() => {})
    proxy.intercept = () => null
    const results = await runAdoption(adoption)
    t.notOk(results.left, `step ${step}: none is left`)
    const storage = createS3Storage({ client: place.client, bucket: place.bucket })
    const { app, url } = await startApp(t, { storage })
    await goOn(t, new URL(url).origin, { ...begun, kept: 5.5 * MIB })
    await app.close()
  }
})

t.test('an answer that gets lost while an adopted upload is completed does no harm', async t => {
  for (const when of ['before', 'after'] as const) {
    const place = await makeBucket(t, '')
    const server = await startTusServer(t, place)
    const begun = await begin(server.url, { name: `lost ${when}`, content: CONTENT, pieces: [10 * MIB] })
    await server.stop()
    await runAdoption(createAdoption('tus-server', place))
    const proxy = await S3Proxy.start(t, place.endpoint)
    const client = createClient(t, { ...place, endpoint: proxy.endpoint }, { maxAttempts: 1 })
    let failures = 0
    proxy.intercept = ({ operation }) => operation === 'CompleteMultipartUpload' && failures++ === 0 ? { when, what: 'reset' } : null
    const { url } = await startApp(t, { storage: createS3Storage({ client, bucket: place.bucket }) })
    await goOn(t, new URL(url).origin, { ...begun, kept: 10 * MIB })
    t.ok(failures > 0)
  }
})

t.test('final uploads of tusd on S3 are adopted, partial ones are left', { skip: NEEDS_TUSD }, async t => {
  const place = await makeBucket(t, 'x/')
  const server = await startTusd(t, place)
  const partial = (content: Buffer) => begin(server.url, { name: 'partial', content, pieces: [content.length], headers: { 'upload-concat': 'partial', 'upload-length': String(content.length) } })
  const [one, two] = [await partial(CONTENT.subarray(0, 6 * MIB)), await partial(CONTENT.subarray(6 * MIB))]
  const { headers } = await send(server.url, 'POST', { ...TUS, 'upload-concat': `final;${one.path} ${two.path}` }, 201)
  await server.stop()
  const { stdout } = await adopt('tusd', place, '--write')
  t.match(stdout, `left "${getId(one)}": a partial upload`)
  t.match(stdout, 'adopted 1 complete and 0 incomplete uploads, left 2\n')
  const id = new URL(headers.get('location')!).pathname.split('/').at(-1)!.split('+')[0]!
  const { url } = await startApp(t, { storage: createS3Storage({ client: place.client, bucket: place.bucket, prefix: place.prefix }) })
  t.equal((await download(`${url}/${id}`)).sha256, sha256(CONTENT))
})
