import t from 'tap'
import { noNginx } from '../support/nginx.js'
import { spawnNode } from '../support/server-process.js'

// What docs/clients.md says of the clients that are written in JavaScript, by the script that writes its table.

const OUTAGES = ['s3-1.5s', noNginx === false ? '502' : 'locked']

t.test('Uppy and both versions of tus-js-client resume by default when S3 is away, and when a proxy finds no server', { timeout: 180_000 }, async t => {
  const child = spawnNode(['scripts/interop/outages.mjs', '--print', '--only', 'uppy,tus-js-client,tus-js-client-5', '--outage', OUTAGES.join()])
  let output = ''
  child.stderr!.on('data', text => { output += text })
  const code = await new Promise(resolve => child.once('close', resolve))
  t.equal(code, 0, output)
  t.equal(output.match(/^[\w-]+, [\w.-]+: resumes\./gm)?.length, 3 * OUTAGES.length, output)
})
