import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startProxy } from './proxy.mjs'
import { startTokenServer } from './token-server.mjs'
import { shorten } from './trail.mjs'

const MIB = 1024 ** 2

/** On which request the token turns out to have expired: the first, the second PATCH, or the HEAD after a cut at 10 MiB. */
export const MOMENTS = ['POST', 'PATCH', 'HEAD']

/**
 * Uploads 20 MiB while the token expires, once for each moment. Resolves to what came of it.
 *
 * @param upload `(url, file, env)` → `{ code }`
 */
export async function tryToken (upload, { fresh, recipe }, cors) {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-tus-tokens-'))
  try {
    const file = join(directory, 'file.bin')
    await writeFile(file, randomBytes(20 * MIB))
    const outcomes = {}
    for (const moment of MOMENTS) outcomes[moment] = await tryMoment({ upload, file, uploads: join(directory, moment), moment, fresh, recipe, cors })
    return outcomes
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function tryMoment ({ upload, file, uploads, moment, fresh, recipe, cors }) {
  await mkdir(uploads)
  const server = await startTokenServer(uploads, cors)
  const proxy = await startProxy(server.port, { at: moment === 'HEAD' ? 10 * MIB : Infinity })
  server.isDue = method => method === moment && (method === 'POST' || (method === 'HEAD' ? proxy.cuts > 0 : server.requests.some(request => request.method === 'PATCH')))
  try {
    const source = `http://127.0.0.1:${server.port}/token`
    const env = { TOKEN: 'first', ...recipe && { TOKEN_RECIPE: recipe }, ...fresh && { TOKEN_URL: source } }
    const { code, errors } = await upload(`http://127.0.0.1:${proxy.port}/files/`, file, env)
    return describe(server, code === 0, uploads, file, errors)
  } finally {
    proxy.close()
    await server.close()
  }
}

function describe (server, succeeded, uploads, file, errors) {
  const first = server.requests.findIndex(({ status }) => status === 401)
  const after = server.requests.slice(first)
  const trail = shorten(after.map(({ method, status }) => `${method} ${status}`))
  const count = server.countUploads()
  if (first < 0) return { result: 'never refused', trail, errors }
  if (!succeeded) return { result: 'fails', trail, errors }
  if (count !== 1) return { result: 'begins again at byte 0', trail, errors }
  const [name] = readdirSync(uploads).filter(name => name.endsWith('.json'))
  const same = readFileSync(join(uploads, name.slice(0, -'.json'.length))).equals(readFileSync(file))
  return { result: same ? 'resumes' : 'other bytes', trail, errors }
}
