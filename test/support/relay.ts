import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A TCP relay on the loopback interface that counts what clients send, and passes on no more than it may. */
export class Relay {
  /** Bytes of clients that were passed on. */
  bytes = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #waiting = new Set<() => void>()
  #limit: number

  private constructor (target: number, limit: number) {
    this.#limit = limit
    this.#server = createServer(client => this.#pass(client, connect(target, '127.0.0.1')))
  }

  /** @param limit how many bytes of clients it passes on before it holds them back */
  static async start (t: Test, target: number, limit = Infinity): Promise<Relay> {
    const relay = new Relay(target, limit)
    relay.#server.listen(0, '127.0.0.1')
    await once(relay.#server, 'listening')
    t.teardown(() => {
      relay.cut()
      relay.#server.close()
    })
    return relay
  }

  /** Where uploads are created behind it. */
  get url (): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/files`
  }

  /** Whether it holds bytes back. */
  get holds (): boolean {
    return this.#waiting.size > 0
  }

  /** Passes all from now on. */
  open (): void {
    this.#limit = Infinity
    for (const pass of this.#waiting) pass()
  }

  /** Breaks all connections. */
  cut (): void {
    this.#waiting.clear()
    for (const socket of this.#sockets) socket.destroy()
  }

  #pass (client: Socket, server: Socket): void {
    for (const [socket, other] of [[client, server], [server, client]] as const) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
    }
    server.pipe(client)
    client.on('data', (chunk: Buffer) => {
      const passed = chunk.subarray(0, Math.max(0, this.#limit - this.bytes))
      const held = chunk.subarray(passed.length)
      this.#send(passed, client, server)
      if (held.length === 0) return
      client.pause()
      const pass = () => {
        this.#waiting.delete(pass)
        client.resume()
        this.#send(held, client, server)
      }
      this.#waiting.add(pass)
    })
  }

  #send (bytes: Buffer, client: Socket, server: Socket): void {
    this.bytes += bytes.length
    if (server.write(bytes)) return
    client.pause()
    server.once('drain', () => client.resume())
  }
}
