import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { makeDirectory } from '../support/app.js'
import { spawnNode } from '../support/server-process.js'

// Some seconds of `npm run chaos`; docs/testing.md tells what it does and what it holds the server to.

const MAIN = join(import.meta.dirname, 'chaos/main.mjs')

for (const [mode, seconds, protocol] of [['cluster', 12, 'tus'], ['processes', 8, 'tus'], ['processes', 8, 'ietf']] as const) {
  t.test(`nothing is lost while processes are killed and clients do what they can (${mode}, ${protocol})`, async t => {
    const directory = await makeDirectory(t)
    const json = join(directory, 'figures.json')
    const flags = ['--minutes', String(seconds / 60), '--seed', 'ci', '--workers', '3', '--clients', '16', '--kill-every', '1500ms', '--protocol', protocol]
    const child = spawnNode([MAIN, ...flags, '--mode', mode, '--dir', join(directory, 'uploads'), '--json', json])
    let output = ''
    child.stdout!.on('data', text => { output += text })
    child.stderr!.on('data', text => { output += text })
    const [code] = await once(child, 'close')

    if (code !== 0) t.comment(output.slice(-8000))
    t.equal(code, 0, 'it ends without a violation')
    const { violations, figures, cleared } = JSON.parse(await readFile(json, 'utf8'))
    t.equal(violations, 0)
    t.ok(figures.strikes.SIGKILL >= 3, 'workers were killed')
    t.ok(figures.finished.rough >= 5 && figures.finished.stock >= 1, 'uploads came to their end meanwhile')
    t.match(cleared.after, { temporary: 0, orphans: 0, waiting: 0, own: 0 }, 'a sweep leaves the uploads alone')
    t.comment(`${Object.values<number>(figures.uploads).reduce((sum, count) => sum + count)} uploads, ${figures.strikes.SIGKILL} kills`)
  })
}

t.test('the chaos run finds a server that is wrong', async t => {
  const { judge } = await import(new URL('chaos/rules.mjs', import.meta.url).href)
  const { Journal } = await import(new URL('chaos/journal.mjs', import.meta.url).href)
  const journal = new Journal({ path: '/files/a', content: { length: 10 }, kind: 'rough' })
  journal.reach.add(0, 4)
  journal.reach.add(8, 8)
  const head = { method: 'HEAD', floor: 4, wasGone: false }
  const patch = { method: 'PATCH', floor: 4, offset: 4, end: 8, checksum: 'right', whole: true, wasGone: false }
  const answer = (status: number, offset?: number) => ({ status, headers: { 'upload-length': '10', ...offset !== undefined && { 'upload-offset': String(offset) } }, body: '' })

  for (const [what, exchange, response] of [
    ['HEAD where it is', head, answer(200, 4)],
    ['PATCH that was taken', patch, answer(204, 8)],
    ['PATCH that another one overtook', patch, answer(409, 8)],
    ['PATCH that had to leave', patch, answer(423)],
    ['PATCH with a wrong checksum', { ...patch, checksum: 'wrong' }, answer(460)]
  ] as const) t.strictSame(judge(exchange, response, journal, false), [], what)

  for (const [what, exchange, response, expected] of [
    ['an offset that goes back', head, answer(200, 3), /went back/],
    ['half of a body with a checksum', head, answer(200, 6), /no body can have led/],
    ['an offset beyond the length', head, answer(200, 11), /beyond the length/],
    ['an upload that is lost', head, answer(404), /nobody removed/],
    ['an upload that comes back', { ...head, wasGone: true }, answer(200, 4), /was removed/],
    ['an error of the server', patch, answer(500), /answers 500/],
    ['a refusal while nobody was told to stop', patch, answer(503), /answers 503/],
    ['a wrong checksum that is taken', { ...patch, checksum: 'wrong' }, answer(204, 8), /wrong checksum/],
    ['a body at a stale offset', { ...patch, floor: 8 }, answer(204, 8), /takes a body at 4/],
    ['a body of which a part counts', { ...patch, end: 9 }, answer(204, 8), /ends at 9/],
    ['a conflict with itself', patch, answer(409, 4), /409 at the very offset/],
    ['a HEAD that does not get hold of it', head, answer(423), /answers 423/]
  ] as const) t.match(judge(exchange, response, journal, false).join(), expected, what)
  t.strictSame(judge(patch, answer(503), journal, true), [], 'one that was told to stop may refuse')
})
