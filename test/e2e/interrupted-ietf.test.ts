import Fastify from 'fastify'
import { createReadStream } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import fastifyTus from '../../lib/index.js'
import { makeDirectory } from '../support/app.js'
import { makeRandom } from '../support/proxy-random.js'
import { Proxy } from '../support/proxy.js'
import { setUp } from '../support/s3/storages.js'
import { testProtocol } from '../support/tus-client-matrix.js'
import { download, writeBytes } from '../support/tus-client-bytes.js'
import { Journal, loadClient, upload } from '../support/tus-client.js'

// The stock clients upload in the two drafts of the other protocol that they speak.

const SIZE = 100 * 1024 * 1024
const CUTS = 24

for (const name of ['tus-js-client', 'tus-js-client-5']) {
  const library = await loadClient(name)
  const skip = library === null && `${name} is not installed`

  for (const protocol of ['ietf-draft-03', 'ietf-draft-05']) {
    t.test(`${name}: 100 MiB in ${protocol}, cut and killed, to a directory`, { skip }, t => testProtocol(t, library!, protocol, SIZE))
  }
}

for (const [name, protocol, options] of [['tus-js-client', 'ietf-draft-05', {}], ['tus-js-client-5', 'ietf-draft-03', { chunkSize: 7 * 1024 * 1024 }]] as const) {
  const library = await loadClient(name)

  t.test(`${name}: 100 MiB in ${protocol}, cut, to S3`, { skip: library === null && `${name} is not installed` }, async t => {
    const app = Fastify()
    t.teardown(() => app.close())
    const machines = await setUp(t)
    await app.register(fastifyTus, { storage: (await machines.open()).storage })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const path = join(await makeDirectory(t), 'file')
    const sha256 = await writeBytes(path, SIZE, SIZE)
    const proxy = await Proxy.start(t, { target: port, random: makeRandom(t), mean: 0.7 * SIZE / CUTS, most: CUTS })
    const journal = new Journal()
    await upload({ library: library!, input: createReadStream(path), endpoint: `http://127.0.0.1:${proxy.port}/files`, options: { protocol, ...options }, journal })
    t.ok(proxy.cutCount >= 20, `the connection was cut ${proxy.cutCount} times`)
    const { pathname } = new URL(journal.url!)
    const stored = await download(`http://127.0.0.1:${port}${pathname}`)
    t.strictSame({ created: journal.created, decreases: journal.decreases, stored }, { created: 1, decreases: [], stored: { size: SIZE, sha256 } })
    t.match(await app.tus.find(pathname.split('/').at(-1)!), { complete: true, offset: SIZE })
  })
}
