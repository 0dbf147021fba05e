import { setTimeout as sleep } from 'node:timers/promises'
import { Connection, NoAnswer, formatHead } from './connection.mjs'
import { judge } from './rules.mjs'
import { getWords } from './words.mjs'

/** One request and its answer, held against what was known when the request began. */
export class Exchange {
  #run
  #journal
  #began = performance.now()

  /** @param facts of a request with a body: `offset`, `end`, `checksum` ('right', 'wrong' or none) */
  constructor (run, journal, method, facts = {}) {
    this.#run = run
    this.#journal = journal
    Object.assign(this, facts, { method, floor: journal?.acknowledged ?? 0, wasGone: journal?.state === 'gone', whole: false })
    journal?.note(`${method} asked${'offset' in facts ? ` ${facts.offset}–${facts.end} ${facts.how}` : ''}`)
  }

  get took () {
    return performance.now() - this.#began
  }

  /** Takes in an answer: checks it, and remembers the offset that it acknowledges. Resolves to the answer itself. */
  settle (response, journal = this.#journal) {
    const { figures } = this.#run
    const wrong = judge(this, response, journal, this.#run.stopping, this.#run.place?.fences)
    const { status, headers } = response
    const offset = headers['upload-offset']
    figures.count('answers', `${this.method} ${status}`)
    journal?.note(`${this.method} ${status} ${offset === undefined ? '' : `at ${offset} `}after ${Math.round(this.took)} ms`)
    if (journal && offset !== undefined) journal.acknowledged = Math.max(journal.acknowledged, Number(offset))
    if (this.method === 'HEAD') figures.measure('HEAD', this.took)
    for (const what of wrong) this.#run.violate(`${this.method} ${what}`, journal)
    return response
  }

  /** The connection ended without an answer, which is nobody's fault while servers are killed. */
  fail (why) {
    this.#run.figures.count('answers', `${this.method} ${why}`)
    this.#journal?.note(`${this.method} ${why}`)
    return null
  }

  /** Waits for the answer on a connection; `null` if it ends before. An answer that does not come at all is a violation. */
  async receive (connection) {
    try {
      const response = await connection.receive(this.method)
      return response === null ? this.fail('connection lost') : this.settle(getWords().read(this.method, response))
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error
      this.#run.violate(`${this.method}: ${error.message}`, this.#journal)
      return this.fail('no answer')
    }
  }
}

/** A request without a body on a connection of its own; `null` if there was no answer. */
export async function ask (run, random, journal, method, headers = {}, path = journal.path) {
  const connection = await openConnection(run, random)
  if (connection === null) return null
  const exchange = new Exchange(run, journal, method)
  try {
    await connection.send(formatHead(method, path, headers))
    const response = await exchange.receive(connection)
    return response && { ...response, took: exchange.took }
  } finally {
    connection.close()
  }
}

/** A connection to any of the servers; `null` if the one that was chosen does not run at the moment. */
export async function openConnection (run, random) {
  const connection = await Connection.open(run.servers.port(random))
  if (connection === null) run.figures.count('answers', 'refused connection')
  return connection
}

/**
 * Tries again and again, a moment apart, until `attempt` resolves to something else than `null`.
 *
 * @returns `null` if that does not happen for five minutes, which is a violation
 */
export async function insist (run, random, journal, what, attempt) {
  const end = performance.now() + PATIENCE
  while (performance.now() < end) {
    const result = await attempt()
    if (result !== null) return result
    await sleep(random.int(10, 100))
  }
  run.violate(`${what}: no success within ${PATIENCE} ms`, journal)
  return null
}

/** Where the upload is, by `HEAD`; `null` if it is not there (any more). */
export async function locate (run, random, journal) {
  const response = await insist(run, random, journal, 'HEAD', async () => {
    const response = await ask(run, random, journal, 'HEAD')
    return response && response.status < 500 && response.status !== 423 ? response : null
  })
  return response?.headers['upload-offset'] === undefined ? null : Number(response.headers['upload-offset'])
}

const PATIENCE = 300_000
