import { formatHead } from './connection.mjs'
import { makeContent } from './content.mjs'
import { Exchange, insist, openConnection } from './exchange.mjs'
import { Journal } from './journal.mjs'
import { getWords, needsEnd } from './words.mjs'

/**
 * Creates an upload and opens its journal; tries again until that was answered.
 *
 * @param plan `kind`, `seed`, `length`, and perhaps `content`, `deferred`, `partial`, `first`: how many bytes come along, `how` as in patch.mjs
 */
export function createUpload (run, random, plan) {
  const content = plan.content ?? makeContent(plan.seed, plan.length)
  let how = plan.how ?? 'plain'
  return insist(run, random, null, `POST (${plan.kind})`, async () => {
    const connection = await openConnection(run, random)
    if (connection === null) return null
    try {
      return await post(run, connection, { ...plan, content, how })
    } finally {
      connection.close()
      // What was wrong on purpose is right the next time.
      how = how.replace('wrong ', '')
    }
  })
}

async function post (run, connection, plan) {
  const { content, first = 0, how } = plan
  const checksum = first === 0 || how === 'plain' ? null : how === 'sum' ? 'right' : 'wrong'
  const exchange = new Exchange(run, null, 'POST', { offset: 0, end: first, how, checksum, mayBeTakenOver: needsEnd() && first === content.length })
  const body = content.read(0, first)
  await connection.send(Buffer.concat([Buffer.from(formatHead('POST', '/files', getHeaders(plan, body))), body]))
  exchange.whole = true
  const response = await exchange.receive(connection)
  if (response?.status !== 201) return null
  return openJournal(run, exchange, response, plan)
}

function openJournal (run, exchange, { status, headers }, plan) {
  const { content, seed, kind, deferred, partial, first = 0, how } = plan
  const journal = run.add(new Journal({ path: new URL(headers.location, 'http://127.0.0.1').pathname, content, seed, kind, deferred, partial }))
  if (how === 'plain') journal.reach.add(0, first)
  else if (how === 'sum') journal.reach.add(first, first)
  journal.note(`created, ${first} of ${content.length} bytes came along (${how}): ${status}, offset ${headers['upload-offset'] ?? 'not told'}`)
  const offset = Number(headers['upload-offset'] ?? 0)
  if (!journal.reach.has(offset)) run.violate(`POST names the offset ${offset} after ${first} bytes`, journal)
  journal.acknowledged = offset
  return journal
}

function getHeaders (plan, body) {
  const { first, how } = plan
  const words = getWords()
  return {
    ...words.create(plan),
    ...how.endsWith('sum') && first && words.checksum(words.digest(how === 'sum' ? body : 'something else')),
    'Content-Length': body.length
  }
}
