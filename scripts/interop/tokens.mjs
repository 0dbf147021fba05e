// Uploads 20 MiB with each client that this machine can run, while its token expires: at POST, at the second PATCH, and at the HEAD after a cut. Writes
// what each client did between the markers of docs/authentication.md.
//
//   node scripts/interop/tokens.mjs [--only NAME,…] [--print]
//
// A client that can't be run here keeps its rows. Needs a build (`npm run build`); clients are installed as for run.mjs.
import { parseArgs } from 'node:util'
import { startBrowser } from './lib/browser.mjs'
import { clients } from './lib/clients.mjs'
import { prepare } from './lib/prepare.mjs'
import { SERVER, runToEnd } from './lib/try.mjs'
import { describeOutcomes, updateTokenTable } from './lib/token-table.mjs'
import { tryToken } from './lib/try-token.mjs'

const FIXED = { title: 'fixed header', fresh: false, recipe: 'fixed' }
const RECIPES = [
  FIXED,
  { title: '`onShouldRetry` on 401', fresh: true, recipe: 'retry' },
  { title: '[`withFreshToken`](#a-client-that-refreshes-its-token)', fresh: true, recipe: 'throw' }
]

const { values } = parseArgs({ options: { only: { type: 'string' }, print: { type: 'boolean' } } })
// The clients of the draft have no way of their own to bring in a token.
const subjects = [...clients.filter(({ needs, token }) => needs === 'node' || token).map(createSubject), createCommand(), ...['uppy', 'tus-js-client'].map(createPage)]
const names = values.only?.split(',') ?? subjects.map(({ name }) => name)
const unknown = names.find(name => !subjects.some(subject => subject.name === name))
if (unknown !== undefined) throw new Error(`There is no client ${unknown}: ${subjects.map(({ name }) => name).join(', ')}`)

const rows = []
for (const subject of subjects.filter(({ name }) => names.includes(name))) {
  const prepared = await subject.prepare()
  if (prepared === null) {
    console.error(`${subject.name} can't be run here`)
    continue
  }
  for (const setting of subject.settings) {
    const row = { ...subject, version: prepared.version, setting: setting.title, outcomes: await tryToken(prepared.upload, setting, prepared.origin) }
    console.error(`${subject.name}, ${setting.title}: ${describeOutcomes(row).join(' | ')}`)
    rows.push(row)
  }
  await prepared.close?.()
}
if (!values.print) updateTokenTable(rows, subjects)

function createSubject (client) {
  const settings = client.needs === 'node' ? RECIPES : [FIXED, { title: client.token, fresh: true }]
  return {
    ...client,
    settings,
    async prepare () {
      const prepared = await prepare(client)
      return prepared && { ...prepared, upload: (url, file, env) => runToEnd(prepared.command, [url, file], env) }
    }
  }
}

/** The command of this package. It has no way to get another token by itself: who gets one runs it again. */
function createCommand () {
  const run = (url, file, token, home) => runToEnd([process.execPath, SERVER, 'upload'], [file, '--to', url, '--chunk-size', '4MiB'], { FASTIFY_TUS_HEADER: `Authorization: Bearer ${token}`, XDG_STATE_HOME: home })
  return {
    name: 'fastify-tus',
    title: '`fastify-tus upload`',
    url: 'upload.md',
    settings: [FIXED, { title: 'run again with a new `--header`', fresh: true }],
    prepare: async () => ({
      version: '',
      async upload (url, file, { TOKEN, TOKEN_URL }) {
        const first = await run(url, file, TOKEN, `${file}.state`)
        return first.code === 0 || TOKEN_URL === undefined ? first : run(url, file, await (await fetch(TOKEN_URL)).text(), `${file}.state`)
      }
    })
  }
}

function createPage (name) {
  const { title, url } = clients.find(client => client.name === name)
  return {
    name: `${name}-browser`,
    title: `${title}, Chromium`,
    url,
    settings: RECIPES,
    async prepare () {
      const browser = await startBrowser()
      return browser && { version: browser.version, origin: browser.origin, upload: (...order) => browser.upload(name, ...order), close: browser.close }
    }
  }
}
