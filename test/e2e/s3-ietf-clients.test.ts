import t, { type Test } from 'tap'
import { createBucket, createClient, getServer } from '../support/s3/bucket.js'
import { testProtocol } from '../support/tus-client-matrix.js'
import { loadClient } from '../support/tus-client.js'

// The stock clients upload to S3 in the two drafts that they speak. FASTIFY_TUS_E2E_MIB=100 lets each of all four bring 100 MiB.

/** The flags of a server whose uploads are in a bucket of their own. */
async function prepareBucket (t: Test): Promise<readonly string[]> {
  const server = await getServer(t)
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: server.accessKeyId, AWS_SECRET_ACCESS_KEY: server.secretAccessKey })
  return ['--s3-bucket', await createBucket(createClient(t, server)), '--s3-endpoint', server.endpoint, '--s3-part-size', '5MiB']
}

const ALL = [['tus-js-client', 'ietf-draft-05'], ['tus-js-client-5', 'ietf-draft-03'], ['tus-js-client', 'ietf-draft-03'], ['tus-js-client-5', 'ietf-draft-05']] as const

for (const [name, protocol] of process.env.FASTIFY_TUS_E2E_MIB ? ALL : ALL.slice(0, 2)) {
  const library = await loadClient(name)
  const skip = library === null && `${name} is not installed`
  t.test(`${name} in ${protocol}, cut and killed, to S3`, { skip }, async t => testProtocol(t, library!, protocol, await prepareBucket(t)))
}
