// Makes the pictures of the page in docs/images: `npm run build && node scripts/screenshots.mjs`. Needs a Chromium: /usr/bin/chromium, or what CHROMIUM names.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const root = fileURLToPath(new URL('..', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'fastify-tus-'))
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] })
const server = spawn(process.execPath, [join(root, 'dist/lib/cli/main.js'), 'serve', '--port', '0', '--dir', join(directory, 'uploads'), '--max-size', '5GiB', '--log-level', 'error'], { stdio: ['ignore', 'pipe', 'inherit'] })
try {
  const url = new URL('/', await readUrl()).href
  await take('desktop', url, { viewport: { width: 1024, height: 720 } })
  await take('dark', url, { viewport: { width: 1024, height: 720 }, colorScheme: 'dark' })
  await take('phone', url, { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 1.5 })
} finally {
  await browser.close()
  server.kill()
  rmSync(directory, { recursive: true })
}

async function take (name, url, options) {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const save = state => page.screenshot({ fullPage: true, path: join(root, `docs/images/page-${name}-${state}.png`) })
  await page.goto(url)
  await page.locator('.uppy-Dashboard-browse').waitFor()
  if (name === 'desktop') await save('empty')
  await choose(page, { 'Minutes of the meeting.pdf': 0.4, 'Wedding.mp4': 24 })
  await page.locator('#finished li').nth(1).waitFor()
  if (name !== 'dark') await save('finished')
  const session = await context.newCDPSession(page)
  await session.send('Network.emulateNetworkConditions', { offline: false, latency: 20, downloadThroughput: 1e7, uploadThroughput: 2e6 })
  await choose(page, { 'Film.mp4': 6, 'Interview.wav': 9, 'Slides.pptx': 15 })
  await page.getByText(/: (?:2[5-9]|[3-9]\d)%/).waitFor()
  await save('uploading')
  await context.close()
}

/** Chooses files with these sizes, in MB. */
async function choose (page, sizes) {
  const files = Object.entries(sizes).map(([name, size]) => {
    const file = join(directory, name)
    writeFileSync(file, Buffer.alloc(size * 1024 ** 2, name))
    return file
  })
  await page.locator('input.uppy-Dashboard-input').first().setInputFiles(files)
}

async function readUrl () {
  const [line] = await once(createInterface({ input: server.stdout }), 'line')
  return line.split(' ').at(-1)
}
