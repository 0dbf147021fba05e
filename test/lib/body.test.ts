import { Readable } from 'node:stream'
import t from 'tap'
import { BodyBudget } from '../../lib/body-budget.js'
import { RequestBody, type BodyOptions } from '../../lib/body.js'
import { sleep } from '../support/waiting.js'

const TOO_LONG = new Error('too long')

function makeBody (source: Readable, options: Partial<BodyOptions> = {}): RequestBody {
  return new RequestBody(source, {
    declared: null,
    limit: Infinity,
    overflow: () => TOO_LONG,
    checkEnd: () => {},
    stallTimeout: 10_000,
    minRate: null,
    budget: new BodyBudget(),
    held: null,
    isReset: null,
    ...options
  })
}

function makeSource (): Readable {
  return new Readable({ read () {} })
}

async function readAll (body: RequestBody, wanted?: number): Promise<string> {
  const chunks: Buffer[] = []
  for (let batch; (batch = await body.next(wanted)) !== null;) chunks.push(...batch)
  return Buffer.concat(chunks).toString()
}

t.test('hands out what the source brings, then the end, again and again', async t => {
  const body = makeBody(Readable.from([Buffer.from('abc'), Buffer.from('def')]))
  t.equal(await readAll(body), 'abcdef')
  t.equal(await body.next(), null)
  t.equal(await body.next(), null)
  t.equal(body.interruption, null)
  t.equal(body.received, 6)
})

t.test('does not touch the source before the first call', async t => {
  const source = makeSource()
  makeBody(source)
  t.same(source.eventNames(), [])
  t.equal(source.readableFlowing, null)
})

t.test('reminds its reader, while nothing comes, of bytes that are not durable', async t => {
  const source = makeSource()
  const body = makeBody(source)
  body.remindEvery(5)
  const first = body.next()
  await sleep(20)
  source.push('abc')
  t.equal(Buffer.concat(await first ?? []).toString(), 'abc', 'there was nothing to be reminded of')
  t.strictSame(await body.next(), [], 'an empty batch')
  t.strictSame(await body.next(), [], 'again, as long as they are not')
  body.noteDurable(3)
  const next = body.next()
  await sleep(20)
  source.push('def')
  t.equal(Buffer.concat(await next ?? []).toString(), 'def')
  source.push(null)
  t.equal(await readAll(body), '')
  t.equal(body.received, 6)
})

t.test('reminds nobody of bytes that wait for their end', async t => {
  const source = makeSource()
  const body = makeBody(source, { limit: 4 })
  body.remindEvery(5)
  const next = body.next()
  source.push('abcd')
  await sleep(20)
  source.push(null)
  t.equal(Buffer.concat(await next ?? []).toString(), 'abcd')
})

t.test('bytes that make up the declared length are handed out at once, the end when the stream says so', async t => {
  const source = makeSource()
  const body = makeBody(source, { declared: 4 })
  const next = body.next()
  source.push('abcd')
  t.equal(Buffer.concat(await next ?? []).toString(), 'abcd')
  source.push(null)
  t.equal(await body.next(), null)
  t.equal(body.interruption, null)
})

t.test('a body of unknown length that has brought all that it may is handed out when it has ended, and not before', async t => {
  for (const [more, outcome] of [[null, 'abcd'], ['e', TOO_LONG]] as const) {
    const source = makeSource()
    const body = makeBody(source, { limit: 4, budget: new BodyBudget(1) })
    let settled = false
    const next = body.next().then(batch => Buffer.concat(batch ?? []).toString(), error => error).finally(() => { settled = true })
    source.push('abcd')
    await sleep(20)
    t.notOk(settled, 'what would be undone is not written')
    source.push(more)
    t.equal(await next, outcome)
  }
})

t.test('one whose client leaves there is handed out as well', async t => {
  const source = makeSource()
  const body = makeBody(source, { limit: 4 })
  const next = body.next()
  source.push('abcd')
  setTimeout(() => source.destroy(), 20)
  t.equal(Buffer.concat(await next ?? []).toString(), 'abcd')
  t.equal(body.interruption, 'client-gone')
})

t.test('gathers what comes in one turn into one batch', async t => {
  const source = makeSource()
  const body = makeBody(source)
  const next = body.next()
  for (const text of ['a', 'b', 'c']) source.push(text)
  t.equal((await next)?.length, 3)
  source.push(null)
  t.equal(await body.next(), null)
})

t.test('a caller that wants little gets it without waiting for the turn to end', async t => {
  const source = makeSource()
  const body = makeBody(source)
  const next = body.next(1)
  source.push('abc')
  t.equal(Buffer.concat(await next ?? []).toString(), 'abc')
  source.push(null)
  t.equal(await readAll(body), '')
})

t.test('pauses the source at its share of the budget, and goes on when the batch is taken', async t => {
  const source = makeSource()
  const budget = new BodyBudget(64 * 1024)
  const body = makeBody(source, { budget })
  const first = body.next()
  for (let count = 0; count < 4; count++) source.push(Buffer.alloc(32 * 1024))
  const size = Buffer.concat(await first ?? []).length
  t.ok(size >= 64 * 1024 && size <= 128 * 1024)
  source.push(null)
  t.equal(size + (await readAll(body)).length, 128 * 1024)
})

t.test('pauses at a number of chunks too: small ones cost more than their bytes', async t => {
  const source = makeSource()
  const body = makeBody(source)
  const first = body.next()
  for (let count = 0; count < 5000; count++) source.push('x')
  t.ok((await first ?? []).length <= 1024)
  source.push(null)
  t.equal((await readAll(body)).length, 5000 - 1024)
})

t.test('more than the limit throws, and goes on throwing', async t => {
  const body = makeBody(Readable.from([Buffer.from('abc'), Buffer.from('def')]), { limit: 5 })
  await t.rejects(readAll(body), TOO_LONG)
  await t.rejects(body.next(), TOO_LONG)
})

t.test('exactly the limit is fine', async t => {
  t.equal(await readAll(makeBody(Readable.from([Buffer.from('abc')]), { limit: 3 })), 'abc')
})

t.test('a source that breaks is a clean end, and what arrived is handed out', async t => {
  const source = makeSource()
  const body = makeBody(source)
  source.push('abc')
  setTimeout(() => source.destroy(new Error('ECONNRESET')), 20)
  t.equal(await readAll(body), 'abc')
  t.equal(body.interruption, 'client-gone')
})

t.test('a source that closes without an end is the same', async t => {
  const source = makeSource()
  const body = makeBody(source)
  setTimeout(() => source.destroy(), 20)
  t.equal(await readAll(body), '')
  t.equal(body.interruption, 'client-gone')
})

t.test('a source that was gone before it was read is the same', async t => {
  const source = makeSource()
  source.destroy()
  const body = makeBody(source)
  t.equal(await readAll(body), '')
  t.equal(body.interruption, 'client-gone')
})

t.test('an end before the declared length is the same', async t => {
  const body = makeBody(Readable.from([Buffer.from('abc')]), { declared: 5 })
  t.equal(await readAll(body), 'abc')
  t.equal(body.interruption, 'client-gone')
})

t.test('a source that brings nothing for too long is a clean end', async t => {
  const source = makeSource()
  const body = makeBody(source, { stallTimeout: 50 })
  source.push('abc')
  t.equal(await readAll(body), 'abc')
  t.equal(body.interruption, 'stalled')
})

t.test('it is not the client that stalls while the storage is slow', async t => {
  const source = makeSource()
  const body = makeBody(source, { stallTimeout: 40, budget: new BodyBudget(1) })
  source.push(Buffer.alloc(64 * 1024))
  await body.next()
  source.push(Buffer.alloc(64 * 1024))
  await sleep(150)
  t.equal(body.interruption, null)
  source.push(null)
  t.equal((await readAll(body)).length, 64 * 1024)
  t.equal(body.interruption, null)
})

t.test('an interruption ends it, with what has arrived, and the first reason stays', async t => {
  const source = makeSource()
  const body = makeBody(source)
  const next = body.next()
  source.push('abc')
  await next
  source.push('def')
  await new Promise(resolve => setImmediate(resolve))
  body.interrupt('wanted')
  body.interrupt('closing')
  t.equal(await readAll(body), 'def')
  t.equal(body.interruption, 'wanted')
})

t.test('an interruption before the first byte ends it without reading', async t => {
  const source = makeSource()
  const body = makeBody(source)
  body.interrupt('closing')
  t.equal(await body.next(), null)
  t.same(source.eventNames(), [])
})

t.test('an error of the connection after the end disturbs nobody', async t => {
  const source = makeSource()
  const body = makeBody(source)
  const next = body.next()
  body.interrupt('wanted')
  t.equal(await next, null)
  source.destroy(new Error('ECONNRESET'))
  await new Promise(resolve => setImmediate(resolve))
})

t.test('the budget is shared by the bodies that are open', async t => {
  const budget = new BodyBudget(1024 * 1024)
  budget.enter()
  t.equal(budget.share, 1024 * 1024)
  budget.enter()
  t.equal(budget.share, 512 * 1024)
  for (let count = 0; count < 100; count++) budget.enter()
  t.equal(budget.share, 64 * 1024, 'never less than what a socket brings at once')
  for (let count = 0; count < 101; count++) budget.leave()
  t.equal(new BodyBudget(1024 ** 3).share, 2 * 1024 * 1024, 'never more than a write needs')
})

t.test('a batch is freed when the next one is asked for, where nobody else can hold it', async t => {
  const [large, small, slice] = [Buffer.from(new ArrayBuffer(64 * 1024)), Buffer.from('small'), Buffer.alloc(64 * 1024).subarray(1)]
  const source = makeSource()
  const body = makeBody(source, { held: 0 })
  const next = body.next()
  for (const chunk of [large, small, slice]) source.push(chunk)
  await next
  t.equal(large.length, 64 * 1024, 'it is the caller\'s until then')
  source.push(null)
  t.equal(await body.next(), null)
  t.same([large.length, small.length, slice.length], [0, 5, 64 * 1024 - 1], 'only what has its memory alone')
})

t.test('one that is read ahead stays until the next but one is asked for', async t => {
  const [first, second] = [Buffer.from(new ArrayBuffer(64 * 1024)), Buffer.from(new ArrayBuffer(64 * 1024))]
  const source = makeSource()
  const body = makeBody(source, { held: 1 })
  for (const chunk of [first, second]) {
    const next = body.next()
    source.push(chunk)
    await next
  }
  t.same([first.length, second.length], [64 * 1024, 64 * 1024])
  source.push(null)
  t.equal(await body.next(), null)
  t.same([first.length, second.length], [0, 64 * 1024])
})

t.test('a batch stays where a listener of the application may hold it', async t => {
  const large = Buffer.from(new ArrayBuffer(64 * 1024))
  const source = makeSource()
  const body = makeBody(source, { held: 0 })
  const next = body.next()
  source.on('data', () => {})
  source.push(large)
  await next
  source.push(null)
  await body.next()
  t.equal(large.length, 64 * 1024)
})
