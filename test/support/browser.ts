import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'
import type { Test } from 'tap'

/** Where Chromium is: what `CHROMIUM` names, or what is found on the path; `null` if there is none. */
export function findChromium (): string | null {
  if (process.env.CHROMIUM) return process.env.CHROMIUM
  const folders = (process.env.PATH ?? '').split(delimiter)
  const files = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'].flatMap(name => folders.map(folder => join(folder, name)))
  return files.find(file => existsSync(file)) ?? null
}

export async function launch (executablePath: string): Promise<Browser> {
  // A container has neither the rights for its sandbox nor much of /dev/shm.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
}

/** A page of its own, as a person who comes for the first time has it, and what goes wrong in it. */
export interface Visit {
  readonly page: Page
  /** What the policy of the page has refused. */
  readonly violations: string[]
  /** What the console and uncaught errors say, but for requests whose connection was cut. */
  readonly errors: string[]
  /** Of each PATCH, in order, its `Upload-Offset`. */
  readonly offsets: number[]
}

export async function visit (t: Test, browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext(options)
  t.teardown(() => context.close())
  const page = await context.newPage()
  const { violations, errors, offsets } = { violations: [] as string[], errors: [] as string[], offsets: [] as number[] }
  await page.exposeFunction('noteViolation', (text: string) => violations.push(text))
  await page.addInitScript('addEventListener(\'securitypolicyviolation\', event => noteViolation(event.violatedDirective + \' \' + event.blockedURI))')
  page.on('console', message => {
    if (message.type() === 'error' && !CUT.test(message.text())) errors.push(message.text())
  })
  page.on('pageerror', error => errors.push(String(error.stack)))
  page.on('request', request => {
    if (request.method() === 'PATCH') offsets.push(Number(request.headers()['upload-offset']))
  })
  page.setDefaultTimeout(TIMEOUT)
  await page.goto(url)
  await page.waitForSelector('.uppy-Dashboard-browse')
  return { page, violations, errors, offsets }
}

/** When a connection that it reuses is cut, Chromium sends the request again by itself, with an offset that is over: 409, and tus-js-client asks for the right one. */
const CUT = /net::ERR_|status of 409/
/** How long anything may take on a busy machine, in ms. */
const TIMEOUT = 60_000
