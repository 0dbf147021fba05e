import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { takeArrived } from './arrived-body.js'
import type { BodyBudget } from './body-budget.js'
import { freeBuffers } from './free-buffers.js'
import { RateWatch, type MinRate } from './min-rate.js'
import type { UploadBody } from './storage.js'

/** Why a body ended before its client had sent all of it. */
export type Interruption = 'client-gone' | 'wanted' | 'stalled' | 'closing' | 'stopped' | 'answered'

export interface BodyOptions {
  /** What the request declared as `Content-Length`, in bytes; `null` for a chunked body. */
  readonly declared: number | null
  /** The most that it may bring, in bytes. */
  readonly limit: number
  /** The error for a body that brings more than `limit`. */
  readonly overflow: () => Error
  /** Throws where what came after the last byte makes the whole body worthless. */
  readonly checkEnd: () => void
  /** How long it may bring nothing, in ms. */
  readonly stallTimeout: number
  /** The least that it must bring; `null` is nothing. */
  readonly minRate: MinRate | null
  /** Memory shared by all bodies of the process. */
  readonly budget: BodyBudget
  /**
   * How many batches the reader still holds when it asks for another: those before them are freed. `null` frees none: somebody else can hold what
   * the source brings.
   */
  readonly held: 0 | 1 | null
  /** Whether the client has reset the stream of its request, so that its end is none; `null` over HTTP/1. */
  readonly isReset: (() => boolean) | null
}

/**
 * The bytes of one request, in batches.
 *
 * Turns every interruption into a clean end, and remembers why in `interruption`: both protocols ask a server to
 * store what arrived, so a storage need not know that a connection broke. Only a body that brings more than it may
 * throws.
 *
 * Nothing is read before the first `next`, so a request that is refused before leaves the stream untouched.
 */
export class RequestBody implements UploadBody {
  readonly #source: Readable
  readonly #options: BodyOptions
  #chunks: Buffer[] = []
  readonly #handedOut: Array<readonly Buffer[]> = []
  #gathered = 0
  #received = 0
  #state: 'unopened' | 'open' | 'ended' = 'unopened'
  #failure: Error | null = null
  #interruption: Interruption | null = null
  #paused = false
  #wanted = 0
  #turn: NodeJS.Immediate | null = null
  #wake: (() => void) | null = null
  #stall: NodeJS.Timeout | null = null
  #watch: RateWatch | null = null
  #remindInterval: number | null = null
  #reminder: NodeJS.Timeout | null = null
  #reminded = false
  #durable = 0
  #isShared = false

  constructor (source: Readable, options: BodyOptions) {
    this.#source = source
    this.#options = options
  }

  /**
   * Why it ended early; `null` if it did not. A stream may be reset right after its end: some clients end what they
   * cancel. Where nothing but that end tells the size, it does not count then.
   */
  get interruption (): Interruption | null {
    const { declared, isReset } = this.#options
    if (this.#state === 'ended' && declared === null && isReset?.()) this.#interruption ??= 'client-gone'
    return this.#interruption
  }

  /**
   * Resolves when `interruption` can be relied on for a body whose end alone says that it is whole. Some clients end a
   * stream in order to reset it (that of Node does), and the reset is on its way then.
   */
  async settle (): Promise<void> {
    const { declared, isReset } = this.#options
    if (isReset === null || declared !== null) return
    // In steps: a process that stood still hears of what came meanwhile between two of them.
    for (let step = 0; step < RESET_STEPS && this.interruption === null; step++) await sleep(RESET_STEP)
  }

  /** Bytes that it brings at most. */
  get most (): number {
    const { declared, limit } = this.#options
    return Math.min(declared ?? limit, limit)
  }

  /** Bytes that arrived so far. */
  get received (): number {
    return this.#received
  }

  /** Begins to gather before anybody asks: what has arrived is not lost if the client leaves while something else is to be done first. */
  start (): void {
    if (this.#state === 'unopened') this.#open()
  }

  async next (wanted = DEFAULT_BATCH): Promise<readonly Buffer[] | null> {
    this.start()
    this.#free()
    // A caller that comes back from a slow write takes at once what gathered meanwhile.
    while (this.#failure === null && !this.#reminded && this.#isWaiting()) await this.#wait(wanted)
    if (this.#failure !== null) throw this.#failure
    const isReminder = this.#reminded && this.#isWaiting()
    this.#reminded = false
    if (isReminder) return NOTHING
    return this.#gathered === 0 ? null : this.#take()
  }

  /** Whether there is nothing to hand out yet. */
  #isWaiting (): boolean {
    return this.#state === 'open' && (this.#gathered === 0 || this.#isDubious())
  }

  /**
   * Whether it has brought all that it may, and only its end can tell that it is not too long, or, over HTTP/2, that
   * nothing comes after it: what would be undone is better not written.
   */
  #isDubious (): boolean {
    const { declared, limit, isReset } = this.#options
    if ((declared !== null && isReset === null) || this.#received < limit) return false
    this.#resume()
    return true
  }

  /**
   * Hands out an empty batch about every `interval` ms as long as the body brings nothing and its reader has bytes that are not durable, so that a reader which
   * makes them durable in intervals does not wait for the next byte to come. To be called before the first `next`.
   */
  remindEvery (interval: number): void {
    this.#remindInterval = interval
    if (this.#state === 'open') this.#startReminder(interval)
  }

  /** Takes note that the first `count` bytes are durable. */
  noteDurable (count: number): void {
    this.#durable = count
    this.#reminder?.refresh()
  }

  /** Ends it here: what has arrived is handed out still, then comes the end. */
  interrupt (reason: Interruption): void {
    if (this.#state === 'ended') return
    this.#interruption = reason
    this.#end()
  }

  #open (): void {
    const { budget, declared, limit, stallTimeout, minRate } = this.#options
    const arrived = declared !== null && declared <= limit ? takeArrived(this.#source, declared) : null
    if (arrived !== null) return this.#closeWith(arrived)
    this.#state = 'open'
    budget.enter()
    const source = this.#source
    // Who left before is not heard of again.
    if (source.destroyed || this.#options.isReset?.()) return this.interrupt('client-gone')
    source.on('data', this.#onData)
    source.on('end', this.#onEnd)
    source.on('error', this.#onGone)
    source.on('close', this.#onGone)
    source.on('pause', this.#onPause)
    // Somebody who listened before us may have paused it.
    if (source.readableFlowing === false) source.resume()
    this.#isShared = isHeard(source, 1)
    this.#stall = setTimeout(this.#onStall, stallTimeout)
    if (this.#remindInterval !== null) this.#startReminder(this.#remindInterval)
    if (minRate !== null) this.#watch = new RateWatch(minRate, () => this.#received, () => this.interrupt('stalled'))
  }

  #closeWith (arrived: Buffer): void {
    this.#state = 'ended'
    this.#chunks.push(arrived)
    this.#gathered = this.#received = arrived.length
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#received += chunk.length
    if (this.#received > this.#options.limit) return this.#fail(this.#options.overflow())
    this.#isShared ||= isHeard(this.#source, 1)
    this.#chunks.push(chunk)
    this.#gathered += chunk.length
    this.#stall?.refresh()
    if (this.#gathered >= this.#options.budget.share || this.#chunks.length >= MOST_CHUNKS) this.#pause()
    if (this.#wake === null) return
    if (this.#paused || this.#gathered >= this.#wanted || this.#received === this.#options.declared) return this.#wake()
    // What the socket still holds arrives in this turn of the event loop: one write for all of it.
    this.#turn ??= setImmediate(() => {
      this.#turn = null
      this.#wake?.()
    })
  }

  readonly #onEnd = (): void => {
    const { declared, isReset, checkEnd } = this.#options
    // Only HTTP/2 can end a stream in order before the declared length is there.
    if (isReset?.() || (declared !== null && this.#received < declared)) return this.interrupt('client-gone')
    try {
      checkEnd()
    } catch (error) {
      return this.#fail(error as Error)
    }
    this.#end()
  }

  readonly #onGone = (): void => {
    this.interrupt('client-gone')
  }

  /** Another reader has paused the stream: a pipe until it has room, or one that wants no more and would hold it for good. */
  readonly #onPause = (): void => {
    if (this.#paused || this.#state !== 'open') return
    setTimeout(() => { if (!this.#paused && this.#state === 'open') this.#source.resume() }, FOREIGN_PAUSE).unref()
  }

  readonly #onReminder = (): void => {
    if (this.#wake === null || this.#received - this.#gathered <= this.#durable) return
    this.#reminded = true
    this.#wake()
  }

  readonly #onStall = (): void => {
    // While the storage is slow, it is not the client that stalls.
    if (this.#paused) this.#stall?.refresh()
    else this.interrupt('stalled')
  }

  #fail (failure: Error): void {
    this.#failure = failure
    this.#chunks = []
    this.#gathered = 0
    this.#end()
  }

  #end (): void {
    if (this.#state === 'open') {
      this.#options.budget.leave()
      if (this.#stall !== null) clearTimeout(this.#stall)
      if (this.#reminder !== null) clearInterval(this.#reminder)
      this.#watch?.stop()
      const source = this.#source
      source.off('data', this.#onData)
      source.off('end', this.#onEnd)
      source.off('close', this.#onGone)
      source.off('pause', this.#onPause)
      source.off('error', this.#onGone)
      source.on('error', ignore)
      source.pause()
    }
    this.#state = 'ended'
    this.#wake?.()
  }

  #startReminder (interval: number): void {
    this.#reminder = setInterval(this.#onReminder, interval)
    this.#reminder.unref()
  }

  #pause (): void {
    this.#paused = true
    this.#watch?.pause()
    this.#source.pause()
  }

  #take (): Buffer[] {
    const batch = this.#chunks
    this.#handedOut.push(batch)
    this.#chunks = []
    this.#gathered = 0
    this.#resume()
    return batch
  }

  #resume (): void {
    if (!this.#paused || this.#state !== 'open') return
    this.#paused = false
    this.#stall?.refresh()
    this.#watch?.resume()
    this.#source.resume()
  }

  #free (): void {
    const { held } = this.#options
    while (this.#handedOut.length > (held ?? 0)) {
      const batch = this.#handedOut.shift()!
      // Another listener, of the application, may have kept the chunks.
      if (held !== null && !this.#isShared) freeBuffers(batch)
    }
  }

  #wait (wanted: number): Promise<void> {
    return new Promise(resolve => {
      this.#wanted = wanted
      this.#wake = () => {
        this.#wake = null
        resolve()
      }
    })
  }
}

/** Whether more than `own` listeners get what a stream brings. */
function isHeard (source: Readable, own: number): boolean {
  return source.listenerCount('data') > own || source.listenerCount('readable') > 0
}

// A connection that breaks after its body was given up is nobody's error any more.
function ignore (): void {}

/** How long the reset of a stream may come after its end, in steps of so many ms. */
const RESET_STEP = 5
const RESET_STEPS = 4
/** How long another reader may pause a stream, in ms. */
const FOREIGN_PAUSE = 100
const NOTHING: readonly Buffer[] = Object.freeze([])
const DEFAULT_BATCH = 1024 * 1024
/** A chunk of one byte costs a hundred in memory: their number is bounded too. */
const MOST_CHUNKS = 1024
