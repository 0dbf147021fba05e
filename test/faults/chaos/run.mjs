import { setTimeout as sleep } from 'node:timers/promises'
import { Figures } from './figures.mjs'

/** What all clients of one chaos run share. */
export class Run {
  figures = new Figures()
  /** Every upload whose URL somebody knows and that is not confirmed to be gone, by its path. */
  journals = new Map()
  /** Paths of uploads that were removed: nothing of them may be left on the disk. */
  removed = []
  /** Uploads that somebody left in the middle, for somebody else. */
  abandoned = []
  violations = []
  /** How often each kind of violation was seen, beyond what is kept of them. */
  violationCount = 0
  servers = null
  /** Where the uploads are: see directory.mjs and bucket.mjs. */
  place = null
  #stopped = false
  #bytesKept = 0
  #stoppingUntil = 0
  #struckAt = -Infinity

  constructor (seed) {
    this.seed = seed
  }

  /** Whether clients should begin nothing new. */
  get stopped () {
    return this.#stopped
  }

  stop () {
    this.#stopped = true
  }

  /** Lets other clients begin. */
  resume () {
    this.#stopped = false
  }

  /** A server was told to stop: 503 is a right answer for a while. */
  expectRefusals () {
    this.#stoppingUntil = performance.now() + DRAIN
  }

  get stopping () {
    return performance.now() < this.#stoppingUntil
  }

  /** Somebody was killed or stopped just now. */
  strike (kind) {
    this.figures.count('strikes', kind)
    this.#struckAt = performance.now()
  }

  /** Whether nobody was, since a second before the last `took` ms. */
  isCalm (took) {
    return performance.now() - took - this.#struckAt > CALM
  }

  add (journal) {
    this.journals.set(journal.path, journal)
    this.figures.count('uploads', journal.kind)
    return journal
  }

  /** Counts the bytes of a finished upload; tells whether it should be removed, so that the disk does not fill up. */
  keep (journal) {
    this.#bytesKept += journal.length
    return this.#bytesKept < MOST_BYTES
  }

  remove (journal) {
    if (this.journals.delete(journal.path) && journal.finished) this.#bytesKept -= journal.length
    this.removed.push(journal.id)
    journal.close()
  }

  /** @param journal the upload that it is about, if any: its story is told along */
  violate (what, journal = null) {
    this.violationCount++
    if (this.violations.length >= MOST_VIOLATIONS) return
    journal?.note(`VIOLATION: ${what}`)
    this.violations.push({ what, at: Math.round(performance.now()), ...journal && { upload: journal.tell() } })
    process.stderr.write(`chaos: VIOLATION: ${what}${journal ? ` (${journal.kind} ${journal.id})` : ''}\n`)
  }

  pause (random, most) {
    return sleep(random.int(0, most))
  }
}

/** How long 503 is right after a server was told to stop, in ms. */
const DRAIN = 30_000
/** How long a strike is felt, in ms. */
const CALM = 1000
/** Of finished uploads that stay on the disk until the end. */
const MOST_BYTES = 1024 ** 3
const MOST_VIOLATIONS = 100
