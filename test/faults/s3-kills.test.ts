import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { createBucket, createClient, getServer } from '../support/s3/bucket.js'
import { S3Proxy, type Fault } from '../support/s3/proxy.js'
import { createTarget, ResumingClient, runScenario } from '../support/s3/scenario.js'
import { ServerProcess } from '../support/server-process.js'

// A server process is killed before or after its k-th request to S3, and another one goes on: for every k with S3_CRASHES=all, for some without.
// On a real server alone, and ended by hand behind its last test: with a connection to a process that was killed, Node 20 may never come to the end of
// closing its handles (`Environment::CleanupHandles`).

const REAL = process.env.S3_ENDPOINT !== undefined

if (REAL) process.on('exit', code => process.exit(code))

t.test('a server that is killed at the k-th request to S3 leaves what another one can go on with', { timeout: 3_000_000, skip: REAL ? false : 'needs S3_ENDPOINT' }, async t => {
  const server = await getServer(t, 'ceph')
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: server.accessKeyId, AWS_SECRET_ACCESS_KEY: server.secretAccessKey })
  const proxy = await S3Proxy.start(t, server.endpoint)
  const bucket = await createBucket(createClient(t, server))
  const start = (endpoint: string) => ServerProcess.start(t, { flags: ['--s3-bucket', bucket, '--s3-endpoint', endpoint, '--s3-part-size', '5MiB'] })
  const survivor = await start(server.endpoint)
  const step = process.env.S3_CRASHES === 'all' ? 1 : 31

  for (const when of ['before', 'after'] as const) {
    for (let k = when === 'before' ? 6 : 9; ; k += step) {
      const victim = await start(proxy.endpoint)
      proxy.reset()
      let killed = false
      // Known before the process has ended: a port that nobody listens at any more refuses many tries in no time.
      const client = new ResumingClient(() => createTarget(killed ? survivor.port : victim.port))
      const kill = () => {
        killed = true
        return victim.kill('SIGKILL')
      }
      proxy.intercept = async ({ number }): Promise<Fault | null> => {
        if (number !== k) return null
        if (when === 'before') await kill()
        return { when, what: 'reset', meanwhile: () => { kill().catch(() => {}) } }
      }
      await runScenario(client)
      await victim.kill('SIGKILL')
      if (!killed) break
      t.pass(`killed ${when} request ${k}`)
    }
  }
})

t.test('a server does not start where no S3 answers', async t => {
  const none = createServer().listen(0, '127.0.0.1')
  await once(none, 'listening')
  const { port } = none.address() as AddressInfo
  await new Promise(resolve => none.close(resolve))
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' })
  await t.rejects(ServerProcess.start(t, { flags: ['--s3-bucket', 'x', '--s3-endpoint', `http://127.0.0.1:${port}`] }), { message: /ECONNREFUSED/ })
})
