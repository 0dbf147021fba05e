import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { ServeFlags } from './flags.js'

/** What is sent for one path. */
interface Resource {
  readonly body: Buffer
  readonly type: string
  readonly cacheControl: string
}

/**
 * Serves the page where a person uploads files: `GET /` and, under `/page/`, what it consists of.
 *
 * Its addresses are relative, so it works behind a proxy that takes a prefix off, too.
 *
 * @param directory where `npm run build` has put it
 * @throws if it is not there
 */
export function registerPage (app: FastifyInstance, flags: ServeFlags, directory: string = BUILT): void {
  if (!canShow(flags.prefix)) return app.log.info(`there is no page at /: uploads are created at ${flags.prefix}`)
  const html = readFileSync(`${directory}/index.html`, 'utf8')
  serve(app, '/', { body: Buffer.from(fillIn(html, flags)), type: 'text/html', cacheControl: 'no-cache' })
  for (const name of readdirSync(directory).filter(name => name !== 'index.html')) {
    serve(app, `/page/${name}`, {
      body: readFileSync(`${directory}/${name}`),
      type: TYPES[name.slice(name.lastIndexOf('.'))] ?? 'application/octet-stream',
      cacheControl: HASHED.test(name) ? 'public, max-age=31536000, immutable' : 'no-cache'
    })
  }
}

/** Where uploads are created at the root, it is theirs; where their prefix has parameters, the page can't know what to put there. */
function canShow (prefix: string): boolean {
  return /^\/+[^/:*]/.test(prefix) && !/[:*]/.test(prefix)
}

function fillIn (html: string, { prefix, maxSize, download }: ServeFlags): string {
  const values: Record<string, string> = {
    endpoint: `.${prefix.replace(/\/+$/, '')}`,
    maxSize: maxSize === null ? '' : String(maxSize),
    download: String(download)
  }
  return html.replace(/\{\{(\w+)\}\}/g, (_place, name: string) => escape(values[name] ?? ''))
}

function escape (text: string): string {
  return text.replace(/[&<>"]/g, character => `&#${character.charCodeAt(0)};`)
}

/** Small as it is, all of it stays in memory, packed once. */
function serve (app: FastifyInstance, url: string, { body, type, cacheControl }: Resource): void {
  const packed = gzipSync(body, { level: 9 })
  const tag = createHash('sha256').update(body).digest('base64url').slice(0, 22)
  const headers = { ...SECURITY, 'content-type': `${type}; charset=utf-8`, 'cache-control': cacheControl, vary: 'accept-encoding' }
  app.get(url, async (request: FastifyRequest, reply: FastifyReply) => {
    const gzip = /\bgzip\b(?!\s*;\s*q=0(?:\.0+)?\s*(?:,|$))/i.test(String(request.headers['accept-encoding'] ?? ''))
    const etag = gzip ? `"${tag}-gzip"` : `"${tag}"`
    reply.headers({ ...headers, etag, ...gzip && { 'content-encoding': 'gzip' } })
    if (request.headers['if-none-match']?.includes(etag)) return reply.code(304).removeHeader('content-encoding').send()
    return gzip ? packed : body
  })
}

const BUILT = fileURLToPath(new URL('page', import.meta.url))
const HASHED = /-[A-Z0-9]{8}\.\w+$/
const TYPES: Readonly<Record<string, string>> = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.txt': 'text/plain' }

/** The page runs its own script and style sheet, and talks to its own server, and that is all that it may do. */
const POLICY = {
  'default-src': "'none'",
  'script-src': "'self'",
  'style-src': "'self'",
  // Previews of pictures, and the signs in Uppy's style sheet.
  'img-src': "'self' blob: data:",
  'connect-src': "'self'",
  'base-uri': "'none'",
  'form-action': "'none'",
  'frame-ancestors': "'none'",
  'require-trusted-types-for': "'script'"
}
const SECURITY: Readonly<Record<string, string>> = {
  'content-security-policy': Object.entries(POLICY).map(([name, value]) => `${name} ${value}`).join('; '),
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  // The address of an upload is the right to it: no link tells where it was followed.
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()'
}
