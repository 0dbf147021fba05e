import { connect, type Socket } from 'node:net'
import { makeAttack, makeVersionless } from './attacks.js'
import type { Attempt } from './attempt.js'
import { mayHaveStored } from './attempt.js'
import { makeDraft } from './draft.js'
import { makeInspection, makeValid } from './grammar.js'
import { inspectReply, inspectWild } from './inspection.js'
import { makeMutated } from './mutations.js'
import { readStored, type Protected } from './protected.js'
import { Random } from './random.js'
import { getField, ReplyParser, type Reply } from './replies.js'
import { getHeader, makeRequest, serialize, TUS } from './request.js'
import { Slot } from './slot.js'
import { makeWild } from './wild.js'

export interface Violation {
  readonly connection: number
  /** Of the request on its connection; -1 where none can be named. */
  readonly index: number
  readonly message: string
  readonly bytes: Buffer
}

export interface ClientOptions {
  readonly port: number
  readonly seed: number
  readonly connection: number
  /** How many requests to send. */
  readonly count: number
  readonly directory: string
  /** Whether the server speaks both protocols. */
  readonly bilingual: boolean
  readonly victims: readonly Protected[]
  /** What a request that may be right by chance aims at; the same where none can be. */
  readonly decoys: readonly Protected[]
  /** Called for one request in a hundred, when it was refused: whether the protected upload is as it was is then looked at. */
  readonly sample: (victim: Protected, violate: (message: string) => void) => void
  readonly report: (violation: Violation) => void
}

/** A request on its way. */
interface Flight {
  readonly index: number
  readonly attempt: Attempt
  readonly slot: Slot
  readonly bytes: Buffer
  readonly sentAt: number
  /** What was stored before, where that is compared. */
  readonly stored: string | null
  readonly victim: Protected
  /** Nothing else is sent until it is answered. */
  readonly alone: boolean
}

interface Intent {
  readonly index: number
  readonly random: Random
  readonly slot: Slot
  readonly mood: 'valid' | 'mutated' | 'attack' | 'wild'
  readonly sampled: boolean
  /** Nothing else is on its way when it is made: all that is known holds. */
  readonly alone: boolean
  readonly victim: Protected
  readonly decoy: Protected
  attempt: Attempt | null
}

/**
 * One connection of the fuzzer, opened again whenever it ended: sends its requests, several at a time but never two about the same of its
 * uploads, and checks every answer.
 */
export class Client {
  readonly #options: ClientOptions
  readonly #slots: readonly Slot[]
  readonly #flights: Flight[] = []
  readonly #strays: string[] = []
  #intent: Intent | null = null
  #socket: Socket | null = null
  #parser = new ReplyParser()
  #sent = 0
  #count: number
  /** Nothing follows on this connection: the client said so, or nobody knows where the last request ends. */
  #ending = false
  /** That one, with the connection cut behind it. */
  #cut = false
  /** The last answer said that the connection closes. */
  #closing = false
  #finish: () => void = () => {}
  readonly statuses = new Map<string, number>()
  /** Requests whose answer is lost, so that whoever reads their status knows no more than that they were sent. */
  lost = 0

  constructor (options: ClientOptions) {
    this.#options = options
    this.#count = options.count
    this.#slots = Array.from({ length: 6 }, () => new Slot(options.bilingual))
  }

  get sent (): number {
    return this.#sent
  }

  /** The ids of the uploads that it knows to be its own. */
  get ids (): string[] {
    return [...this.#slots.flatMap(({ id }) => id ?? []), ...this.#strays.map(id => id.replace(OTHER, ''))]
  }

  /** When it sent the oldest request that it has no answer to, by `performance.now()`; `Infinity` if there is none. */
  get waitsSince (): number {
    return this.#flights[0]?.sentAt ?? Infinity
  }

  /** Resolves when all requests are answered, or their connections closed. */
  run (): Promise<void> {
    return new Promise(resolve => {
      this.#finish = resolve
      this.#pump()
    })
  }

  /** Sends nothing more. */
  stop (): void {
    this.#count = this.#sent
    this.#intent = null
  }

  /** Gives up what is on its way for longer than `limit` ms. */
  checkHang (limit: number): void {
    const oldest = this.#flights[0]
    if (oldest === undefined || performance.now() - this.waitsSince < limit) return
    this.#violate(oldest, `no answer, and an open connection, after ${limit} ms`)
    this.#socket?.destroy()
  }

  #pump (): void {
    const outgoing: Buffer[] = []
    while (this.#flights.length < DEPTH && !this.#ending && !this.#closing) {
      const flight = this.#next()
      if (flight === null) break
      flight.slot.busy = true
      this.#flights.push(flight)
      outgoing.push(flight.bytes)
      this.#cut = flight.attempt.bytes !== undefined
      this.#ending = this.#cut || getHeader(flight.attempt.request, 'Connection') === 'close'
    }
    if (outgoing.length > 0) this.#write(outgoing.length === 1 ? outgoing[0]! : Buffer.concat(outgoing))
    else if (this.#flights.length === 0 && this.#sent === this.#count) this.#end()
  }

  /** `null` if it has to wait for answers first, or if that was all. */
  #next (): Flight | null {
    if (this.#flights.length === 0 && this.#strays.length > 0) return this.#launch(-1, this.#removeStray(), STRAY, this.#options.victims[0]!)
    this.#intent ??= this.#sent < this.#count ? this.#draw(this.#sent) : null
    const intent = this.#intent
    if (intent === null || intent.slot.busy || this.#flights[0]?.alone) return null
    if (!intent.slot.certain && intent.attempt === null) return this.#launch(-1, makeInspection(intent.slot), intent.slot, intent.victim)
    if (intent.alone && this.#flights.length > 0) return null
    intent.attempt ??= this.#make(intent)
    if (intent.attempt.alone && this.#flights.length > 0) return null
    this.#intent = null
    this.#sent++
    return this.#launch(intent.index, intent.attempt, intent.slot, intent.victim, intent)
  }

  #draw (index: number): Intent {
    const { seed, connection, victims, decoys } = this.#options
    const random = new Random(seed, connection, index)
    const sampled = random.chance(0.01)
    return { index, random, slot: random.pick(this.#slots), mood: random.weigh(MOODS), sampled, alone: sampled || random.chance(0.1), victim: random.pick(victims), decoy: random.pick(decoys), attempt: null }
  }

  #make ({ random, slot, mood, victim, decoy, alone }: Intent): Attempt {
    const { bilingual } = this.#options
    const slots = alone ? this.#slots : []
    const makeRight = () => bilingual && random.chance(0.65) ? makeDraft(random, slot) : makeValid(random, slot, slots)
    switch (mood) {
      case 'valid': return makeRight()
      case 'mutated': return makeMutated(random, slot, makeRight().request, victim.id)
      case 'attack': return makeAttack(random, victim, decoy, bilingual)
      case 'wild': return makeWild(random, random.chance(0.3) ? makeVersionless(random, decoy) : makeRight().request, victim.id)
      default: return mood satisfies never
    }
  }

  #launch (index: number, attempt: Attempt, slot: Slot, victim: Protected, { sampled, alone } = HOUSEKEEPING): Flight {
    const stored = sampled && attempt.refusable && slot.id !== null ? readStored(this.#options.directory, slot.id) : null
    return { index, attempt, slot, stored, victim, alone, bytes: attempt.bytes ?? serialize(attempt.request), sentAt: performance.now() }
  }

  #removeStray (): Attempt {
    const id = this.#strays.pop()!
    // Which of the two it is, nobody knows.
    if (this.#options.bilingual && !id.startsWith(OTHER)) this.#strays.push(`${OTHER}${id}`)
    return { request: makeRequest('DELETE', id.startsWith(OTHER) ? id : `/files/${id}`, [TUS]), method: 'DELETE', settle: () => null, refusable: false }
  }

  #write (bytes: Buffer): void {
    const socket = this.#socket ??= this.#open()
    socket.write(bytes)
    if (!this.#cut) return
    // Half of it in order, so that the server learns that nothing follows.
    if (new Random(this.#options.seed, this.#options.connection, ~this.#sent).chance(0.9)) socket.end()
    else setTimeout(() => socket.resetAndDestroy(), 5)
  }

  #open (): Socket {
    const socket = connect({ port: this.#options.port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    socket.on('data', chunk => this.#receive(chunk))
    socket.on('end', () => socket.end())
    socket.on('error', () => {})
    socket.on('close', () => this.#onClose())
    return socket
  }

  #receive (chunk: Buffer): void {
    this.#parser.push(chunk)
    while (this.#flights.length > 0 && this.#flights[0]!.attempt.bytes === undefined) {
      const reply = this.#parser.take(this.#flights[0]!.attempt.method)
      if (reply === null) break
      this.#closing ||= reply.closing
      if (this.#isOfParser(reply)) return this.#loseAll(reply)
      this.#settle(this.#flights.shift()!, reply)
    }
    this.#pump()
  }

  /** The parser answers what is no HTTP at once, before those whose answers are still being made. */
  #isOfParser ({ status, head }: Reply): boolean {
    return this.#flights.at(-1)!.attempt.bytes !== undefined && status >= 400 && getField({ head }, 'date') === undefined
  }

  #loseAll (reply: Reply): void {
    const wild = this.#flights.pop()!
    this.#tally(wild.attempt, reply.status)
    for (const flight of this.#flights.splice(0, Infinity, wild)) this.#forget(flight)
  }

  #settle (flight: Flight, reply: Reply): void {
    const { attempt, slot, stored, victim } = flight
    const before = slot.id
    for (const status of [...reply.interim.map(head => Number(head.slice(9, 12))), reply.status]) this.#tally(attempt, status)
    slot.busy = false
    const wrong = inspectReply(reply, this.#options.directory) ?? (slot === STRAY ? null : attempt.settle(reply))
    if (wrong !== null) this.#violate({ ...flight, bytes: this.#join(flight) }, `${wrong}\n${reply.head}\n\n${reply.body.toString('latin1', 0, 500)}`)
    this.#adopt(flight, reply, before)
    if (!slot.certain && slot.kind === 'final') this.#abandon(slot)
    if (reply.status < 400 || reply.status >= 500) return
    if (stored !== null && before !== null && !mayHaveStored(reply, attempt.request) && stored !== readStored(this.#options.directory, before)) {
      this.#violate(flight, `a refused request changed the upload\n${stored}\n${readStored(this.#options.directory, before)}\n${reply.head}\n\n${reply.body}`)
    }
    if (stored !== null) this.#options.sample(victim, message => this.#violate(flight, message))
  }

  /** What a spoiled request created by chance belongs to nobody else. */
  #adopt ({ slot, attempt }: Flight, reply: Reply, before: string | null): void {
    // A query that a spoiled request had comes back in the URL, and names no other upload.
    const id = getField(reply, 'location')?.split('?')[0]!.split('/').at(-1) ?? getField(reply, 'x-document')
    if (id === undefined || id === slot.id) return
    if (before === null && slot.id === null && slot !== STRAY && attempt.refusable) slot.fill({ id, certain: false, genuine: false, target: attempt.request.path.startsWith('/documents') })
    else this.#strays.push(id)
  }

  /** Nobody can say what it is now: a final upload completes whenever its parts are there, and one that is about to be removed is there for a while. */
  #abandon (slot: Slot): void {
    this.#strays.push(slot.id!)
    slot.clear()
  }

  #onClose (): void {
    const ending = this.#flights.at(-1)?.attempt.bytes ? this.#flights.pop()! : null
    if (ending) this.#settleWild(ending)
    const [first] = this.#flights
    if (first && !ending && !this.#closing) this.#violate({ ...first, bytes: this.#join() }, `the connection closed without an answer; before it came ${JSON.stringify(this.#parser.rest.toString('latin1', 0, 300))}`)
    for (const flight of this.#flights.splice(0)) this.#forget(flight)
    this.#socket = null
    this.#parser = new ReplyParser()
    this.#ending = false
    this.#cut = false
    this.#closing = false
    this.#pump()
  }

  #settleWild (flight: Flight): void {
    const { rest } = this.#parser
    for (const [, status] of rest.toString('latin1').matchAll(STATUS)) this.#tally(flight.attempt, Number(status))
    const wrong = inspectWild(rest, this.#options.directory)
    if (wrong !== null) this.#violate(flight, `${wrong}\n${rest.toString('latin1', 0, 1000)}`)
    const places = [...rest.toString('latin1').matchAll(LOCATION)].map(([, id]) => id!)
    // The draft tells it again of one that is complete.
    this.#strays.push(...places.filter(id => id !== flight.slot.id))
    this.#forget(flight, flight.attempt.cut)
  }

  /** Nobody knows what became of the request. */
  #forget ({ slot, bytes }: Flight, cut: Attempt['cut'] | null = null): void {
    this.lost++
    slot.busy = false
    if (slot === STRAY || slot.id === null) return
    // HEAD of a complete upload does not wait for one that removes it.
    if (/delete/i.test(bytes.toString('latin1'))) return this.#abandon(slot)
    slot.certain = false
    slot.range = cut
    if (cut !== null) return
    slot.genuine = false
  }

  #tally ({ bytes }: Attempt, status: number): void {
    const key = `${bytes ? 'raw ' : ''}${status}`
    this.statuses.set(key, (this.statuses.get(key) ?? 0) + 1)
  }

  /** What was on its way: the parser may have answered one that came later. */
  #join (...before: Flight[]): Buffer {
    return Buffer.concat([...before, ...this.#flights].map(({ bytes }) => bytes))
  }

  #violate ({ index, bytes }: Flight, message: string): void {
    this.#options.report({ connection: this.#options.connection, index, message, bytes })
  }

  #end (): void {
    if (this.#socket === null) return this.#finish()
    this.#socket.once('close', () => this.#finish())
    this.#socket.end()
  }
}

/** Requests on their way at once. */
const DEPTH = 6
const MOODS = { valid: 50, mutated: 33, attack: 10, wild: 7 }
const HOUSEKEEPING = { sampled: false, alone: false }
/** Stands for uploads that are about to be removed. */
const STRAY = new Slot()
/** Where the uploads of the route of the application are. */
const OTHER = '/documents/~post/'
const STATUS = /HTTP\/1\.1 (\d{3}) /g
const LOCATION = /\r\n(?:location: \S*\/|x-document: )([0-9A-Za-z_-]+)\r\n/gi
