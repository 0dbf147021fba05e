import cors from '@fastify/cors'
import Fastify, { type FastifyInstance } from 'fastify'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import type { UploadOptions } from 'tus-js-client'
import fastifyTus, { type TusOptions } from '../../lib/index.js'
import { createFsStorage } from '../../adapters/fs/index.js'
import { makeDirectory } from '../support/app.js'
import { findChromium, launch } from '../support/browser.js'
import { TUS, makeBytes } from '../support/http-tus.js'

const TOKEN = 'Bearer good'
const CONTENT = makeBytes(350_000)
type Register = (app: FastifyInstance, origin: string, options: TusOptions) => Promise<void>
const WAYS: Readonly<Record<string, Register>> = {
  'the option cors': async (app, origin, options) => { await app.register(fastifyTus, { ...options, cors: { origin: [origin], allowedHeaders: 'X-Mine' } }) },
  '@fastify/cors of the application, before': async (app, origin, options) => {
    await app.register(cors, { origin: [origin], allowedHeaders: ['X-Mine', 'Authorization'] })
    await app.register(fastifyTus, { ...options, cors: {} })
  },
  '@fastify/cors of the application, after': async (app, origin, options) => {
    await app.register(fastifyTus, { ...options, cors: {} })
    await app.register(cors, { origin: [origin] })
  }
}

const executable = findChromium()
if (executable === null) {
  t.test('uploads from another origin, in a browser', { skip: 'there is no Chromium: set CHROMIUM to its path, or install it (Debian: apt-get install chromium)' }, async () => {})
} else {
  const browser = await launch(executable)
  t.teardown(() => browser.close())
  runTests(browser)
}

function runTests (browser: Browser): void {
  for (const [name, register] of Object.entries(WAYS)) {
    t.test(name, async t => {
      const pages = await startPages(t)
      const server = await startServer(t, pages, register)
      const page = await open(t, browser, pages)

      await t.test('tus-js-client uploads in parts with a token, and gets back what it sent', async t => {
        for (const overridePatchMethod of [false, true]) {
          const url = await page.evaluate(upload, { content: CONTENT.toString('base64'), options: { endpoint: `${server.url}/files`, headers: { Authorization: TOKEN }, chunkSize: 100_000, overridePatchMethod } })
          const response = await fetch(url, { headers: { authorization: TOKEN } })
          t.ok(Buffer.from(await response.arrayBuffer()).equals(CONTENT))
        }
      })

      await t.test('without a token, the page reads the status and the headers of the refusal', async t => {
        for (const request of [{ path: '/files', method: 'POST' }, { path: '/files/some-id', method: 'PATCH' }, { path: '/files/some-id', method: 'HEAD' }, { path: '/documents', method: 'POST' }]) {
          t.match(await ask(page, server.url, { ...request, headers: TUS }), { status: 401 }, `${request.method} ${request.path}`)
        }
        t.match(await ask(page, server.url, { path: '/files', method: 'POST', headers: TUS }), { headers: { 'tus-resumable': '1.0.0' } })
      })

      await t.test('errors of the server are read', async t => {
        const headers = { ...TUS, authorization: TOKEN, 'upload-length': '99999999' }
        t.match(await ask(page, server.url, { path: '/files', method: 'POST', headers }), { status: 413, headers: { 'tus-max-size': String(server.maxSize) } })
        t.match(await ask(page, server.url, { path: '/files/some-id', method: 'HEAD', headers }), { status: 404 })
      })

      await t.test('it discovers the server, which asks for a token', async t => {
        t.match(await ask(page, server.url, { path: '/files', method: 'OPTIONS' }), { status: 401 })
        t.match(await ask(page, server.url, { path: '/files', method: 'OPTIONS', headers: { authorization: TOKEN } }), { status: 204, headers: { 'tus-version': '1.0.0', 'tus-extension': /creation/ } })
      })

      await t.test('a route of the application takes an upload of the page', async t => {
        const headers = { authorization: TOKEN, 'upload-complete': '?0' }
        const created = await ask(page, server.url, { path: '/documents', method: 'POST', headers, body: 'hel' })
        t.match(created, { status: 201, headers: { location: /documents/ } })
        const append = { authorization: TOKEN, 'content-type': 'application/partial-upload', 'upload-offset': '3', 'upload-complete': '?1' }
        const path = new URL(created.headers.location!).pathname
        t.match(await ask(page, server.url, { path, method: 'PATCH', headers: append, body: 'lo' }), { status: 200, text: 'got 5' })
      })

      await t.test('a page of an origin that is not allowed reads nothing', async t => {
        const stranger = await open(t, browser, await startPages(t))
        for (const method of ['POST', 'HEAD', 'OPTIONS']) t.match(await ask(stranger, server.url, { path: '/files', method, headers: { ...TUS, authorization: TOKEN } }), { status: 'TypeError' })
      })
    })
  }
}

/** A server for a page and the client that it uses; resolves to its origin. */
async function startPages (t: Test): Promise<string> {
  const app = Fastify()
  t.teardown(() => app.close())
  const script = await readFile(new URL('../../node_modules/tus-js-client/dist/tus.min.js', import.meta.url), 'utf8')
  app.get('/', async (_request, reply) => reply.type('text/html').send('<!doctype html><title>page</title><script src="/tus.js"></script>'))
  app.get('/tus.js', async (_request, reply) => reply.type('text/javascript').send(script))
  return start(app)
}

async function startServer (t: Test, origin: string, register: Register): Promise<{ url: string, maxSize: number }> {
  const app = Fastify()
  t.teardown(() => app.close())
  const maxSize = 10_000_000
  app.addHook('onRequest', async ({ headers }, reply) => { if (headers.authorization !== TOKEN) return reply.code(401).send({}) })
  await register(app, origin, { storage: createFsStorage({ directory: await makeDirectory(t) }), maxSize })
  app.post('/documents', app.tus.resumable(async request => `got ${request.upload!.length}`))
  return { url: await start(app), maxSize }
}

async function start (app: FastifyInstance): Promise<string> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

async function open (t: Test, browser: Browser, origin: string): Promise<Page> {
  const context = await browser.newContext()
  t.teardown(() => context.close())
  const page = await context.newPage()
  await page.goto(origin)
  return page
}

/** Runs in the page, with tus-js-client; resolves to the URL of the upload. */
function upload ({ content, options }: { content: string, options: UploadOptions }): Promise<string> {
  const { tus } = globalThis as unknown as { tus: { Upload: new (file: Blob, options: UploadOptions) => { url: string, start: () => void } } }
  const bytes = Uint8Array.from(atob(content), character => character.charCodeAt(0))
  return new Promise((resolve, reject) => {
    const sent = new tus.Upload(new Blob([bytes]), { ...options, retryDelays: [], onError: reject, onSuccess: () => resolve(sent.url) })
    sent.start()
  })
}

interface Asked {
  /** The name of the error where the browser shows no response. */
  readonly status: number | string
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

/** What a script of the page learns of a request. */
function ask (page: Page, base: string, request: { path: string, method: string, headers?: Record<string, string>, body?: string }): Promise<Asked> {
  return page.evaluate(async ({ url, method, headers, body }) => {
    try {
      const response = await fetch(url, { method, headers: { 'X-Mine': '1', ...headers }, ...body !== undefined && { body } })
      return { status: response.status, headers: Object.fromEntries(response.headers), text: await response.text() }
    } catch (error) {
      return { status: (error as Error).name, headers: {}, text: '' }
    }
  }, { url: `${base}${request.path}`, ...request })
}
