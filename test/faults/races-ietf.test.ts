import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { makeDirectory } from '../support/app.js'
import { append, ask, begin, retrieve, V8 } from '../support/ietf.js'
import { ServerProcess } from '../support/server-process.js'

// Requests of the draft on one upload that reach two processes at the same time. RACES=1000 makes as many rounds of each.

const ROUNDS = Number(process.env.RACES ?? 20)
const directory = await makeDirectory(t)
const [a, b] = await Promise.all([ServerProcess.start(t, { directory }), ServerProcess.start(t, { directory })])

t.test(`two ends of one upload, through two processes: one completes it, alone (${ROUNDS} rounds)`, async t => {
  for (let round = 0; round < ROUNDS; round++) {
    const path = await begin(t, a.port, 'begin', V8)
    const [one, other] = [`${round}a`.repeat(50 + round), `${round}b`.repeat(50 + round)]
    const answers = await Promise.all([append(t, a.port, path, 5, one, '?1', V8), append(t, b.port, path, 5, other, '?1', V8)])
    const won = answers.findIndex(({ headers }) => headers['upload-complete'] === '?1')
    const loser = answers[1 - won]!
    t.match(answers[won], { status: 201 }, `round ${round}`)
    if (![409, 423].includes(loser.status) || loser.headers['upload-complete'] === '?1') t.fail(`round ${round}: the other one is answered ${loser.status}`)
    const content = await readFile(join(directory, path.split('/').at(-1)!), 'utf8')
    t.equal(content, `begin${won === 0 ? one : other}`)
    t.match((await retrieve(t, b.port, path, V8)).headers, { 'upload-complete': '?1', 'upload-offset': String(content.length) })
  }
})

t.test(`DELETE through one process, the end through another: afterwards nothing is there (${ROUNDS} rounds)`, async t => {
  for (let round = 0; round < ROUNDS; round++) {
    const path = await begin(t, a.port, 'begin', V8)
    const [removed, appended] = await Promise.all([ask(t, a.port, 'DELETE', path, V8), append(t, b.port, path, 5, 'x'.repeat(1 + round * 997), '?1', V8)])
    t.equal(removed.status, 204)
    if (![201, 404, 410, 423].includes(appended.status)) t.fail(`round ${round}: PATCH answers ${appended.status}`)
    for (const { port } of [a, b]) {
      const statuses = [(await retrieve(t, port, path, V8)).status, (await append(t, port, path, 5, '', '?1', V8)).status, (await ask(t, port, 'GET', path)).status]
      if (statuses.some(status => status !== 404 && status !== 410)) t.fail(`round ${round}: ${statuses}`)
    }
  }
})
