import { build } from 'esbuild'
import { createReadStream, existsSync } from 'node:fs'
import { createServer } from 'node:http'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

/**
 * Starts Chromium, whose pages come from an origin of their own. Resolves to `null` where there is none: `CHROMIUM` or the path names it.
 *
 * `upload` lets a page upload a file with `Uppy` or `tus-js-client`, and resolves as a program does.
 */
export async function startBrowser () {
  const executablePath = process.env.CHROMIUM ?? process.env.PATH.split(delimiter).map(folder => join(folder, 'chromium')).find(existsSync)
  if (!executablePath) return null
  const { outputFiles: [script] } = await build({ entryPoints: [fileURLToPath(new URL('browser-page.mjs', import.meta.url))], bundle: true, format: 'esm', write: false })
  const site = await startSite(script.text)
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
  return { version: browser.version(), origin: site.origin, upload, close }

  async function upload (client, endpoint, file, { TOKEN, TOKEN_URL, TOKEN_RECIPE }) {
    site.file = file
    const context = await browser.newContext()
    try {
      const page = await context.newPage()
      await page.goto(site.origin)
      const errors = await page.evaluate(order => globalThis.upload(order), { client, endpoint, token: TOKEN, source: TOKEN_URL, recipe: TOKEN_RECIPE })
      return { code: errors === '' ? 0 : 1, errors }
    } finally {
      await context.close()
    }
  }

  async function close () {
    await browser.close()
    site.close()
  }
}

async function startSite (script) {
  const site = { origin: '', file: '', close: () => server.close() }
  const server = createServer((request, response) => {
    if (request.url === '/file') return createReadStream(site.file).pipe(response)
    response.setHeader('Content-Type', 'text/html; charset=utf-8')
    response.end(`<!doctype html><title>Uploads</title><script type="module">${script.replaceAll('</script', '<\\/script')}</script>`)
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  site.origin = `http://127.0.0.1:${server.address().port}`
  return site
}
