import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** A proxy that resets all connections when clients have sent so many bytes, once. */
export async function startProxy (target, cutAt) {
  const sockets = new Set()
  const proxy = { port: 0, cuts: 0, close }
  let sent = 0
  // A server that refuses a body ends its side first: its response must reach a client that is still sending.
  const server = createServer({ allowHalfOpen: true }, client => {
    const upstream = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true })
    for (const [socket, other] of [[client, upstream], [upstream, client]]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
    upstream.pipe(client)
    client.on('end', () => upstream.end())
    client.on('data', chunk => {
      sent += chunk.length
      if (sent >= cutAt && proxy.cuts === 0) return cut()
      if (!upstream.write(chunk)) {
        client.pause()
        upstream.once('drain', () => client.resume())
      }
    })
  })

  function cut () {
    proxy.cuts++
    for (const socket of sockets) socket.resetAndDestroy()
  }

  function close () {
    for (const socket of sockets) socket.destroy()
    server.close()
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  proxy.port = server.address().port
  return proxy
}
