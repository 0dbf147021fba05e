import { readdirSync } from 'node:fs'
import t from 'tap'
import { spawnNode } from '../support/server-process.js'

// The clients that are written in JavaScript, by the script that tries all of them.

t.test('Uppy and both versions of tus-js-client bring the same bytes, whole and with a cut in the middle', async t => {
  const child = spawnNode(['scripts/interop/run.mjs', '--print', '--only', 'uppy,tus-js-client,tus-js-client-5'])
  let output = ''
  child.stderr!.on('data', text => { output += text })
  const code = await new Promise(resolve => child.once('close', resolve))
  t.equal(code, 0, output)
  t.equal(output.match(/: same bytes; cut: same bytes$/gm)?.length, 3, output)
})

t.test('every client has a folder, and every folder a client', async t => {
  const { clients } = await import('../../scripts/interop/lib/clients.mjs')
  const folders = readdirSync('scripts/interop', { withFileTypes: true }).filter(entry => entry.isDirectory() && entry.name !== 'lib')
  t.same(clients.map(({ name }) => name).sort(), folders.map(({ name }) => name).sort())
})
