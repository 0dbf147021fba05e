import t from 'tap'
import { findChromium } from '../support/browser.js'
import { spawnNode } from '../support/server-process.js'

// What docs/authentication.md says of the clients that are written in JavaScript, by the script that writes its table.

const NAMES = ['uppy', 'tus-js-client', 'tus-js-client-5', 'fastify-tus', ...findChromium() === null ? [] : ['uppy-browser', 'tus-js-client-browser']]

t.test('a client whose token expires resumes with another one, at POST, PATCH and HEAD; without the recipe it begins again or fails', { timeout: 300_000 }, async t => {
  const child = spawnNode(['scripts/interop/tokens.mjs', '--print', '--only', NAMES.join(',')])
  let output = ''
  child.stderr!.on('data', text => { output += text })
  const code = await new Promise(resolve => child.once('close', resolve))
  t.equal(code, 0, output)
  for (const name of NAMES) {
    const rows = output.split('\n').filter(line => line.startsWith(`${name}, `))
    const getResults = (setting: string) => rows.find(line => line.includes(setting))?.replace(/^.*?: (?=fails|resumes|begins|never)/, '').split(' | ').map(cell => cell.replace(/: `.*/, ''))
    t.same(getResults('fixed header'), ['fails', 'fails', 'fails'], name)
    if (name === 'fastify-tus') t.same(getResults('run again'), ['resumes', 'resumes', 'resumes'])
    else {
      t.same(getResults('onShouldRetry'), ['resumes', 'resumes', 'begins again at byte 0'], name)
      t.same(getResults('withFreshToken'), ['resumes', 'resumes', 'resumes'], name)
    }
  }
})
