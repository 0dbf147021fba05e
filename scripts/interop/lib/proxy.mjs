import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** A proxy that resets all connections when clients have sent so many bytes, once. */
export async function startProxy (target, cutAt) {
  const sockets = new Set()
  const proxy = { port: 0, cuts: 0, close }
  let sent = 0
  const server = createServer(client => {
    const upstream = connect(target, '127.0.0.1')
    for (const [socket, other] of [[client, upstream], [upstream, client]]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
    upstream.pipe(client)
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
