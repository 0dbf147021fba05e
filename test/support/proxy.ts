import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'
import type { Random } from './proxy-random.js'

/**
 * How a connection is cut.
 *
 * - `reset`: both sides see a reset.
 * - `end`: both sides see an orderly end, in the middle of a request.
 * - `stall`: the client sees a reset, and the server nothing at all: a phone that drove into a tunnel.
 * - `answer`: the request arrives, its answer does not.
 */
export type Way = 'reset' | 'end' | 'stall' | 'answer'

export interface ProxyOptions {
  /** The port of the server, on the loopback interface. */
  readonly target: number
  readonly random: Random
  /** How many bytes a connection brings on average before it is cut. */
  readonly mean: number
  /** After so many cuts everything passes. */
  readonly most: number
  /** Default: all of them. */
  readonly ways?: readonly Way[]
}

/** A TCP proxy on the loopback interface that cuts connections. */
export class Proxy {
  /** How many connections were cut in which way. */
  readonly cuts: Record<Way, number> = { reset: 0, end: 0, stall: 0, answer: 0 }
  connections = 0
  /** Bytes that clients sent and that were passed on. */
  bytes = 0
  /** Called when `bytes` has grown. */
  onBytes: () => void = () => {}
  readonly #options: ProxyOptions
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #ways: readonly Way[]

  private constructor (options: ProxyOptions) {
    this.#options = options
    this.#ways = (options.ways ?? ['reset', 'end', 'stall', 'answer']).filter(way => way !== 'answer')
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, client => this.#pass(client))
  }

  static async start (t: Test, options: ProxyOptions): Promise<Proxy> {
    const proxy = new Proxy(options)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    t.teardown(() => proxy.close())
    return proxy
  }

  get port (): number {
    return (this.#server.address() as AddressInfo).port
  }

  get cutCount (): number {
    return Object.values(this.cuts).reduce((sum, count) => sum + count, 0)
  }

  /** Cuts everything for good. */
  async close (): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    if (!this.#server.listening) return
    await new Promise(resolve => this.#server.close(resolve))
  }

  #pass (client: Socket): void {
    this.connections++
    const server = connect({ host: '127.0.0.1', port: this.#options.target, allowHalfOpen: true })
    let left = this.#drawBudget()
    let way: Way | null = null
    this.#track(client)
    this.#track(server)

    client.on('data', (chunk: Buffer) => {
      if (way !== null) return
      const mayCut = this.#mayCut()
      const passed = mayCut ? chunk.subarray(0, left) : chunk
      left -= passed.length
      this.bytes += passed.length
      if (!server.write(passed)) pauseUntilDrained(client, server)
      if (mayCut && left === 0) this.#cut(way = this.#options.random.pick(this.#ways), client, server)
      this.onBytes()
    })
    server.on('data', chunk => {
      if (way !== null) return
      if (this.#losesAnswer()) this.#cut(way = 'answer', client, server)
      else if (!client.write(chunk)) pauseUntilDrained(server, client)
    })

    server.once('connect', () => client.resume())
    client.once('end', () => way === null && server.end())
    server.once('end', () => way === null && client.end())
    client.once('close', () => way === null && server.destroy())
    server.once('close', () => {
      if (way !== null) return
      // A server that is down, or was killed: the client sees a reset too.
      if (server.readableEnded) client.destroySoon()
      else reset(client)
    })
  }

  #cut (way: Way, client: Socket, server: Socket): void {
    this.cuts[way]++
    client.pause()
    switch (way) {
      case 'end':
        client.end()
        server.end()
        setTimeout(() => { client.destroy(); server.destroy() }, 200).unref()
        return
      case 'stall':
        server.pause()
        reset(client)
        return
      case 'reset': case 'answer':
        reset(client)
        reset(server)
        return
      default:
        way satisfies never
    }
  }

  #drawBudget (): number {
    const { mean, random } = this.#options
    return random.between(Math.ceil(mean * 0.2), Math.ceil(mean * 1.8))
  }

  #mayCut (): boolean {
    return this.cutCount < this.#options.most && this.#ways.length > 0
  }

  #losesAnswer (): boolean {
    const { ways, random, most } = this.#options
    return (ways?.includes('answer') ?? true) && this.cutCount < most && random.next() < ANSWERS_LOST
  }

  #track (socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {}) // what breaks here is meant to break
    socket.once('close', () => this.#sockets.delete(socket))
  }
}

function reset (socket: Socket): void {
  // Node can't reset a socket while its end is on the way: the handle stays open, and the process spins when it exits.
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}

function pauseUntilDrained (source: Socket, sink: Socket): void {
  source.pause()
  sink.once('drain', () => source.resume())
}

/** Of all answers, the part that is lost. */
const ANSWERS_LOST = 0.1
