import { build } from 'esbuild'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import type * as TusClient from 'tus-js-client'
import { createFsStorage } from '../../adapters/fs/index.js'
import { listNames, makeDirectory } from '../support/app.js'
import { findChromium, launch } from '../support/browser.js'
import { loadExample } from '../support/example.js'

// example/session.mjs with a page of another origin, in a browser.

const executable = findChromium()
const skip = executable === null && 'there is no Chromium'

t.test('a session of a browser, from another origin', { skip }, async t => {
  const browser = await launch(executable!)
  t.teardown(() => browser.close())
  const { outputFiles } = await build({ stdin: { contents: "export * from 'tus-js-client'", resolveDir: '.' }, bundle: true, format: 'iife', globalName: 'tus', write: false })
  const [own, foreign] = [await startSite(t, outputFiles[0]!.text), await startSite(t, outputFiles[0]!.text)]
  const { url, origin, directory } = await startServer(t, own)

  await t.test('uploads and resumes with `credentials` on both sides', async t => {
    const { page, token } = await login(t, browser, origin, own)
    t.equal(await upload(page, { url, token, withCredentials: true }), 'done')
    t.equal((await listNames(directory)).length, 2)
  })

  await t.test('is not sent without `withCredentials`', async t => {
    const { page, token } = await login(t, browser, origin, own)
    t.match(await upload(page, { url, token, withCredentials: false }), /401/)
  })

  await t.test('without the token against forged requests, nothing is created', async t => {
    const { page } = await login(t, browser, origin, own)
    t.match(await upload(page, { url, token: 'forged', withCredentials: true }), /403/)
  })

  await t.test('is of no use to a page of an origin that is not in the list', async t => {
    const { page, token } = await login(t, browser, origin, foreign)
    t.match(await upload(page, { url, token, withCredentials: true }), /failed to create upload/)
    t.equal((await listNames(directory)).length, 2)
  })
})

/** An origin with a page that has tus-js-client. */
async function startSite (t: Test, script: string): Promise<string> {
  const app = Fastify()
  app.get('/', async (_request, reply) => reply.type('text/html; charset=utf-8').send(`<!doctype html><title>Uploads</title><script>${script.replaceAll('</script', '<\\/script')}</script>`))
  return listen(t, app)
}

async function startServer (t: Test, allowed: string): Promise<{ url: string, origin: string, directory: string }> {
  const directory = await makeDirectory(t)
  const { acceptUploads } = await loadExample('session')
  const app = Fastify()
  const cors = { origin: [allowed], credentials: true, allowedHeaders: ['csrf-token'] }
  await acceptUploads(app, { secret: 'a secret of at least thirty-two characters', cookie: { secure: false }, storage: createFsStorage({ directory }), cors })
  app.get('/login', async request => {
    Object.assign((request as FastifyRequest & { session: object }).session, { user: 'ann' })
    return 'welcome'
  })
  const origin = await listen(t, app)
  return { url: `${origin}/files`, origin, directory }
}

async function listen (t: Test, app: FastifyInstance): Promise<string> {
  t.teardown(() => app.close())
  await app.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

/** Logs in, then goes to the page of an origin. */
async function login (t: Test, browser: Browser, server: string, site: string): Promise<{ page: Page, token: string }> {
  const context = await browser.newContext()
  t.teardown(() => context.close())
  const page = await context.newPage()
  await page.goto(`${server}/login`)
  await page.goto(`${server}/csrf-token`)
  const { token } = JSON.parse(await page.locator('body').innerText()) as { token: string }
  await page.goto(site)
  return { page, token }
}

interface Order {
  readonly url: string
  readonly token: string
  readonly withCredentials: boolean
}

/** Uploads 1 MB in two requests, with a pause in the middle. Resolves to `done`, or to what went wrong. */
function upload (page: Page, order: Order): Promise<string> {
  return page.evaluate(({ url, token, withCredentials }) => new Promise<string>(resolve => {
    const { Upload } = (globalThis as unknown as { tus: typeof TusClient }).tus
    let paused = false
    const upload = new Upload(new Blob([new Uint8Array(1_000_000)]), {
      endpoint: url,
      chunkSize: 500_000,
      retryDelays: [],
      headers: { 'csrf-token': token },
      onBeforeRequest: request => { (request.getUnderlyingObject() as { withCredentials: boolean }).withCredentials = withCredentials },
      onChunkComplete: () => {
        if (paused) return
        paused = true
        upload.abort().then(() => upload.start(), error => resolve(String(error)))
      },
      onError: error => resolve(error.message),
      onSuccess: () => resolve('done')
    })
    upload.start()
  }), order)
}
