import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { isTaken, takeArrived } from '../../lib/arrived-body.js'

/** Sends a request in one packet, and hands it over when all that is there has been read. */
async function receive (t: Test, head: string, look: (request: IncomingMessage) => Promise<void> | void): Promise<string> {
  const server = createServer((request, response) => {
    setImmediate(async () => {
      await look(request)
      response.end('done')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close() })
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.end(`POST / HTTP/1.1\r\nHost: a\r\n${head}`)
  return Buffer.concat(await socket.toArray()).toString()
}

t.test('takes a body that came along with its headers, and the request ends all the same', async t => {
  const answer = await receive(t, 'Content-Length: 4\r\n\r\nabcd', async request => {
    t.equal(takeArrived(request, 4)?.toString(), 'abcd')
    t.ok(isTaken(request))
    await once(request, 'end')
  })
  t.match(answer, /^HTTP\/1.1 200 OK/)
})

t.test('leaves one of which more has to come', async t => {
  const answer = await receive(t, 'Content-Length: 4\r\n\r\nabc', request => {
    t.equal(takeArrived(request, 4), null)
    t.notOk(isTaken(request))
    t.equal(request.readableLength, 3)
  })
  t.match(answer, /^HTTP\/1.1 200 OK/)
})

t.test('leaves one that somebody else reads', async t => {
  await receive(t, 'Content-Length: 4\r\n\r\nabcd', async request => {
    request.pause()
    t.equal(takeArrived(request, 4), null)
    const [bytes] = await request.toArray()
    t.equal(String(bytes), 'abcd')
  })
})
