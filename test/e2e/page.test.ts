import { createHash, randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { makeDirectory } from '../support/app.js'
import { findChromium, launch, visit, type Visit } from '../support/browser.js'
import { Gate } from '../support/gate.js'
import { ServerProcess } from '../support/server-process.js'
import { until } from '../support/waiting.js'

const MB = 1024 ** 2
const INPUT = 'input.uppy-Dashboard-input'
const LINKS = '#finished li a'

const executable = findChromium()
if (executable === null) {
  t.test('the page in a browser', { skip: 'there is no Chromium: set CHROMIUM to its path, or install it (Debian: apt-get install chromium)' }, async () => {})
} else {
  const browser = await launch(executable)
  t.teardown(() => browser.close())
  runTests(browser, await ServerProcess.start(t))
}

function runTests (browser: Browser, server: ServerProcess): void {
  const prepare = (t: Test, sizes: Readonly<Record<string, number>>) => prepareFor(t, server, sizes)

  t.test('files that are dropped go up side by side, and the links give them back', async t => {
    const { files } = await prepare(t, { 'one.bin': 3 * MB, 'two.bin': 2 * MB, 'empty.bin': 0 })
    const visited = await visit(t, browser, getPage(server))
    await drop(visited.page, files)
    await checkFinished(t, visited.page, files)
    checkQuiet(t, visited)
  })

  t.test('several files are on their way at once; paused, none goes on, and then all do', async t => {
    const { files, gate } = await prepare(t, { 'one.bin': 8 * MB, 'two.bin': 8 * MB, 'three.bin': 8 * MB })
    const visited = await visit(t, browser, gate.url)
    const held = gate.holdAfter(3 * MB)
    await visited.page.locator(INPUT).first().setInputFiles(files)
    await held
    await until('three are on their way', async () => await visited.page.locator('.uppy-Dashboard-Item.is-inprogress').count() === 3 && visited.offsets.length === 3)
    t.same(visited.offsets, [0, 0, 0])
    await visited.page.getByRole('button', { name: 'Pause', exact: true }).click()
    await visited.page.getByText('Upload paused').waitFor()
    gate.open()
    // What was on its way has ended; a file that is not paused would be finished before a new one is.
    await finishAnother(t, browser, server)
    t.equal(await visited.page.locator(LINKS).count(), 0)
    await visited.page.getByRole('button', { name: 'Resume', exact: true }).click()
    await checkFinished(t, visited.page, files)
    checkQuiet(t, visited)
  })

  t.test('it goes on by itself after the connection was cut and the server was killed', async t => {
    const { files, gate } = await prepare(t, { 'film.bin': 24 * MB })
    const visited = await visit(t, browser, gate.url)
    await hold(visited, gate, files, 8 * MB)
    const resumed = gate.holdAfter(8 * MB)
    gate.cut()
    await resumed
    await server.kill('SIGKILL')
    gate.cut()
    gate.open()
    await server.restart()
    await checkFinished(t, visited.page, files)
    // The browser itself may send a request once more whose connection was cut: not every try is seen here.
    t.ok(visited.offsets.length >= 2 && visited.offsets.at(-1)! > 0, `PATCH from ${visited.offsets.join(', ')}`)
    checkQuiet(t, visited)
  })

  t.test('it goes on by itself after the page was loaded again', async t => {
    const { files, gate } = await prepare(t, { 'one.bin': 30 * MB, 'two.bin': 30 * MB })
    const visited = await visit(t, browser, gate.url)
    await hold(visited, gate, files, 8 * MB)
    await waitForCopies(visited.page, files.length)
    visited.offsets.length = 0
    await visited.page.reload()
    gate.open()
    await checkFinished(t, visited.page, files)
    t.ok(visited.offsets.some(offset => offset > 0), `PATCH from ${visited.offsets.join(', ')}`)
    checkQuiet(t, visited)
  })

  t.test('what was paused stays paused after the page was loaded again', async t => {
    const { files, gate } = await prepare(t, { 'one.bin': 20 * MB })
    const visited = await visit(t, browser, gate.url)
    await hold(visited, gate, files, 4 * MB)
    await waitForCopies(visited.page, 1)
    await visited.page.getByRole('button', { name: 'Pause', exact: true }).click()
    await visited.page.getByText('Upload paused').waitFor()
    await waitForCopies(visited.page, 1, true)
    visited.offsets.length = 0
    await visited.page.reload()
    gate.open()
    const resume = visited.page.locator('.uppy-StatusBar').getByRole('button', { name: /resume|upload 1 file/i })
    await resume.waitFor()
    await finishAnother(t, browser, server)
    t.same(visited.offsets, [])
    await resume.click()
    await checkFinished(t, visited.page, files)
    checkQuiet(t, visited)
  })

  t.test('a file too large for a copy is named after the page was loaded again, and goes on when it is chosen again, or is discarded', async t => {
    const { files, gate } = await prepare(t, { 'large.bin': 101 * MB })
    const visited = await visit(t, browser, gate.url)
    await hold(visited, gate, files, 16 * MB)
    await visited.page.reload()
    gate.open()
    const unfinished = visited.page.locator('#unfinished li')
    await unfinished.getByText('large.bin').waitFor()
    visited.offsets.length = 0
    await visited.page.locator(INPUT).first().setInputFiles(files)
    await unfinished.waitFor({ state: 'detached' })
    await checkFinished(t, visited.page, files)
    t.ok(visited.offsets[0]! > 0, `PATCH from ${visited.offsets.join(', ')}`)
    await visited.page.reload()
    await visited.page.locator(LINKS).waitFor()
    t.notOk(await visited.page.locator('#unfinished').isVisible(), 'nothing is left to go on with')

    t.comment('The same once more, but discarded')
    await hold(visited, gate, files, 8 * MB)
    await visited.page.reload()
    gate.open()
    const [response] = await Promise.all([
      visited.page.waitForResponse(response => response.request().method() === 'DELETE'),
      visited.page.getByRole('button', { name: 'Discard large.bin' }).click()
    ])
    t.equal(response.status(), 204)
    await visited.page.locator('#unfinished').waitFor({ state: 'hidden' })
    checkQuiet(t, visited)
  })

  t.test('the keyboard is enough, on a phone too, below another prefix', async t => {
    const other = await ServerProcess.start(t, { flags: ['--prefix', '/deep/down/', '--max-size', '1GiB'] })
    const { files, gate } = await prepareFor(t, other, { 'a file with a name that is long enough for a line of its own, and more.bin': 6 * MB })
    const visited = await visit(t, browser, gate.url, { viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true })
    const { page } = visited
    await page.getByText('Up to 1 GB each').waitFor()
    const held = gate.holdAfter(2 * MB)
    // Asked for early: the browser has to be told before the key is pressed.
    const choosing = page.waitForEvent('filechooser')
    await tabTo(page, 'browse files')
    await page.keyboard.press('Enter')
    await (await choosing).setFiles(files)
    await held
    await tabTo(page, 'Pause')
    await page.keyboard.press('Enter')
    await page.getByText('Upload paused').waitFor()
    await checkWidth(t, page)
    gate.open()
    await page.keyboard.press('Enter')
    await checkFinished(t, page, files)
    await until('the focus is where the next ones are chosen', async () => (await page.locator(':focus').allTextContents()).join() === 'browse files')
    await checkWidth(t, page)
    await tabTo(page, 'Remove')
    await page.keyboard.press('Enter')
    await page.locator('#finished').waitFor({ state: 'hidden' })
    checkQuiet(t, visited)
  })

  t.test('what is in the list outlives a restart of the page, and nobody else sees it', async t => {
    const { files } = await prepare(t, { 'mine.bin': MB })
    const mine = await visit(t, browser, getPage(server))
    await mine.page.locator(INPUT).first().setInputFiles(files)
    await checkFinished(t, mine.page, files)
    await mine.page.reload()
    await checkFinished(t, mine.page, files)
    const stranger = await visit(t, browser, getPage(server))
    t.notOk(await stranger.page.locator('#finished').isVisible())
    t.notMatch(await stranger.page.content(), 'mine.bin')
    checkQuiet(t, mine)
    checkQuiet(t, stranger)
  })

  t.test('with --no-download, the list has names and no links', async t => {
    const other = await ServerProcess.start(t, { flags: ['--no-download'] })
    const { files } = await prepareFor(t, other, { 'secret.bin': MB })
    const visited = await visit(t, browser, getPage(other))
    await visited.page.locator(INPUT).first().setInputFiles(files)
    await visited.page.locator('#finished').getByText('secret.bin').waitFor()
    t.equal(await visited.page.locator(LINKS).count(), 0)
    t.notOk(await visited.page.getByText('Whoever has a link').isVisible())
    checkQuiet(t, visited)
  })

  t.test('a second tab leaves the files of the first one alone', async t => {
    const { files, gate } = await prepare(t, { 'one.bin': 20 * MB })
    const visited = await visit(t, browser, gate.url)
    await hold(visited, gate, files, 8 * MB)
    await waitForCopies(visited.page, 1)
    const second = await visited.page.context().newPage()
    const patches: string[] = []
    second.on('request', request => { if (request.method() === 'PATCH') patches.push(request.url()) })
    await second.goto(gate.url)
    await second.waitForSelector('.uppy-Dashboard-browse')
    gate.open()
    await checkFinished(t, visited.page, files)
    await second.locator(LINKS).waitFor()
    t.same(patches, [], 'and its list has what the first one finished')
  })

  t.test('what these tests call a violation is one', async t => {
    const { page, violations } = await visit(t, browser, getPage(server))
    await page.evaluate(`{
      const script = document.createElement('script')
      script.append('document.title = "broken"')
      document.body.append(script)
    }`).catch(() => {})
    await page.evaluate('document.body.innerHTML = "<p>"').catch(() => {})
    await page.evaluate('fetch("http://localhost:9")').catch(() => {})
    await until('all of them are told', async () => violations.length >= 3)
    t.match(violations.sort().join(), /connect-src.*require-trusted-types-for/)
    t.equal(await page.title(), 'Upload files')
  })
}

/** A gate before the server, and files with these sizes. */
async function prepareFor (t: Test, { port }: ServerProcess, sizes: Readonly<Record<string, number>>): Promise<{ gate: Gate, files: string[] }> {
  const directory = await makeDirectory(t)
  const files = Object.keys(sizes).map(name => join(directory, name))
  for (const [name, size] of Object.entries(sizes)) await writeFile(join(directory, name), randomBytes(size))
  return { gate: await Gate.start(t, port), files }
}

function getPage (server: ServerProcess): string {
  return `http://127.0.0.1:${server.port}/`
}

/** Chooses files, and resolves when so many bytes have gone through the gate, and the browser knows where they go. */
async function hold ({ page }: Visit, gate: Gate, files: readonly string[], bytes: number): Promise<void> {
  const held = gate.holdAfter(bytes)
  await page.locator(INPUT).first().setInputFiles(files)
  await held
  await until('their addresses are known', async () => await page.evaluate('Object.keys(localStorage).filter(key => key.startsWith("tus::")).length') === files.length)
}

/** Resolves when the browser has copies of so many files, and knows that all are paused, or that they are not. */
async function waitForCopies (page: Page, count: number, paused = false): Promise<void> {
  const read = `(async () => {
    const wait = request => new Promise(resolve => { request.onsuccess = () => resolve(request.result) })
    const database = await wait(indexedDB.open('uppy-blobs'))
    const [copies, [metadata]] = await Promise.all(['files', 'metadata'].map(name => wait(database.transaction(name).objectStore(name).getAll())))
    database.close()
    const files = Object.values(JSON.parse(metadata?.metadata ?? '{}').files ?? {})
    return [copies.length, files.filter(file => (file.isPaused ?? false) === ${paused}).length].join()
  })()`
  await until('the copies are there', async () => await page.evaluate(read) === `${count},${count}`)
}

async function drop (page: Page, files: readonly string[]): Promise<void> {
  const contents = await Promise.all(files.map(async file => ({ name: file.split('/').at(-1)!, base64: (await readFile(file)).toString('base64') })))
  const transfer = await page.evaluateHandle(`(() => {
    const transfer = new DataTransfer()
    for (const { name, base64 } of ${JSON.stringify(contents)}) transfer.items.add(new File([Uint8Array.from(atob(base64), character => character.charCodeAt(0))], name))
    return transfer
  })()`)
  for (const type of ['dragenter', 'dragover', 'drop']) await page.dispatchEvent('.uppy-Dashboard-AddFiles', type, { dataTransfer: transfer })
}

/** Somebody else sends a small file through the same server. */
async function finishAnother (t: Test, browser: Browser, server: ServerProcess): Promise<void> {
  const { page } = await visit(t, browser, getPage(server))
  await page.locator(INPUT).first().setInputFiles({ name: 'other.bin', mimeType: 'application/octet-stream', buffer: randomBytes(MB) })
  await page.locator(LINKS).waitFor()
}

/** That all are in the list, that their links give back what was sent, and that there is room for the next ones. */
async function checkFinished (t: Test, page: Page, files: readonly string[]): Promise<void> {
  await until('all are in the list', async () => await page.locator(LINKS).count() === files.length)
  for (const file of files) {
    const link = page.getByRole('link', { name: file.split('/').at(-1)!, exact: true })
    const response = await page.request.get((await link.getAttribute('href'))!)
    t.equal(hash(await response.body()), hash(await readFile(file)), file.split('/').at(-1)!)
  }
  await page.locator('.uppy-Dashboard-browse').waitFor()
}

function checkQuiet (t: Test, { violations, errors }: Visit): void {
  t.same(violations, [], 'nothing was against the policy')
  t.same(errors, [], 'nothing is in the console')
}

async function checkWidth (t: Test, page: Page): Promise<void> {
  t.equal(await page.evaluate('document.documentElement.scrollWidth - innerWidth'), 0, 'nothing sticks out')
}

/** Presses Tab until the focus is on a button or link with that name. */
async function tabTo (page: Page, name: string): Promise<void> {
  for (let presses = 0; presses < 30; presses++) {
    const focused = await page.evaluate('document.activeElement.ariaLabel ?? document.activeElement.textContent') as string
    if (focused.startsWith(name)) return
    await page.keyboard.press('Tab')
  }
  throw new Error(`Tab does not get to ${name}`)
}

function hash (bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
