import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/**
 * A proxy between clients and a port, or the path of a socket. It acts once, when clients have sent `at` bytes; by
 * default, it resets all connections then.
 *
 * `reset`, `refuse` and `freeze` are what can happen to it: connections are reset, refused for so many ms, or nothing
 * passes for so many ms.
 *
 * @param rate how many bytes a second each client can send
 * @param trail notes the requests that pass
 */
export async function startProxy (target, { at = Infinity, act = cut, rate = Infinity, trail } = {}) {
  const sockets = new Set()
  const proxy = { port: 0, rate, cuts: 0, sent: 0, frozen: false, reset, refuse, freeze, close }
  const place = isNaN(target) ? { path: target } : { port: target, host: '127.0.0.1' }
  let acted = false
  // A server that refuses a body ends its side first: its response must reach a client that is still sending.
  const server = createServer({ allowHalfOpen: true }, client => {
    const upstream = connect({ ...place, allowHalfOpen: true })
    const notes = trail?.open()
    for (const [socket, other] of [[client, upstream], [upstream, client]]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
    upstream.on('data', chunk => {
      if (proxy.frozen) return
      notes?.respond(chunk)
      client.write(chunk)
    })
    upstream.on('end', () => client.end())
    client.on('end', () => upstream.end())
    client.on('data', chunk => {
      if (proxy.frozen) return client.pause()
      proxy.sent += chunk.length
      notes?.request(chunk)
      if (proxy.sent >= at && !acted) {
        acted = true
        act(proxy, upstream.localPort)
        if (client.destroyed) return
      }
      pass(client, upstream, chunk)
    })
  })

  function pass (client, upstream, chunk) {
    const full = !upstream.write(chunk)
    if (!full && proxy.rate === Infinity) return
    client.pause()
    const resume = () => { client.resume() }
    if (full) upstream.once('drain', resume)
    else setTimeout(resume, chunk.length / proxy.rate * 1000)
  }

  function reset () {
    proxy.cuts++
    for (const socket of sockets) socket.resetAndDestroy()
  }

  function refuse (duration) {
    server.close()
    reset()
    setTimeout(() => server.listen(proxy.port, '127.0.0.1'), duration)
  }

  function freeze (duration) {
    proxy.frozen = true
    setTimeout(() => {
      proxy.frozen = false
      // What did not pass is lost.
      reset()
    }, duration)
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

function cut (proxy) {
  proxy.reset()
}
