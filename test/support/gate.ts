import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A TCP proxy on the loopback interface that lets a number of bytes through, and then no more of any upload until it is told to; small requests pass. */
export class Gate {
  readonly #target: number
  readonly #server: Server
  readonly #pairs = new Map<Socket, Socket>()
  #left = Infinity
  #held = false
  #whenHeld: () => void = () => {}

  private constructor (target: number) {
    this.#target = target
    this.#server = createServer(client => this.#pass(client))
  }

  /** @param target the port of the server */
  static async start (t: Test, target: number): Promise<Gate> {
    const gate = new Gate(target)
    gate.#server.listen(0, '127.0.0.1')
    await once(gate.#server, 'listening')
    t.teardown(async () => {
      gate.cut()
      await new Promise(resolve => gate.#server.close(resolve))
    })
    return gate
  }

  get url (): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Resolves when clients have sent so many bytes more; those that follow wait. */
  holdAfter (bytes: number): Promise<void> {
    this.#left = bytes
    this.#held = false
    return new Promise(resolve => { this.#whenHeld = resolve })
  }

  /** What waits, and all that comes, goes through again. */
  open (): void {
    this.#left = Infinity
    this.#held = false
    for (const client of this.#pairs.keys()) client.resume()
  }

  /** Resets every connection. */
  cut (): void {
    for (const [client, server] of this.#pairs) {
      client.resetAndDestroy()
      server.resetAndDestroy()
    }
  }

  #pass (client: Socket): void {
    const server = connect(this.#target, '127.0.0.1')
    this.#pairs.set(client, server)
    client.on('data', chunk => {
      this.#count(chunk.length)
      if (!server.write(chunk) || this.#stops(client)) client.pause()
    })
    server.on('data', chunk => client.write(chunk))
    server.on('drain', () => { if (!this.#stops(client)) client.resume() })
    for (const [socket, other] of [[client, server], [server, client]] as const) {
      socket.on('error', () => {}) // what breaks here is meant to break
      socket.once('close', () => {
        this.#pairs.delete(client)
        other.destroy()
      })
    }
  }

  #count (bytes: number): void {
    this.#left -= bytes
    if (this.#held || this.#left > 0) return
    this.#held = true
    for (const client of this.#pairs.keys()) if (this.#stops(client)) client.pause()
    this.#whenHeld()
  }

  #stops (client: Socket): boolean {
    return this.#held && client.bytesRead > SMALL
  }
}

/** What a connection may bring that has no upload, in bytes. */
const SMALL = 100_000
