import { Intervals } from './intervals.mjs'

/** What the clients know of one upload, against which every answer is held. */
export class Journal {
  /** The path of its URL. */
  path
  id
  /** What it shall hold; `null` where that is known only by another upload (the parts of tus-js-client). */
  content
  /** The seed of its content, to make it again. */
  seed
  kind
  /** The length is told with the last bytes. */
  deferred = false
  partial = false
  final = false
  /** `'leaving'`: somebody asked to remove it; `'gone'`: that was confirmed. */
  state = 'alive'
  /** The highest offset that any answer named. */
  acknowledged = 0
  /** The offsets at which it may be, after what was sent so far. */
  reach = new Intervals()
  /** Which variant of its content won which range, where two compete. */
  wins = []
  #events = []
  #skipped = 0

  constructor ({ path, content = null, seed = '', kind, deferred = false, partial = false, final = false }) {
    Object.assign(this, { path, id: path.split('/').at(-1), content, seed, kind, deferred, partial, final })
    this.reach.add(0, 0)
  }

  get length () {
    return this.content?.length ?? null
  }

  /** Writes down what happened, as long as somebody might want to read it. */
  note (text) {
    this.#events.push(`${(performance.now() / 1000).toFixed(3)} ${text}`)
    if (this.#events.length <= MOST_EVENTS) return
    this.#events.splice(10, 1)
    this.#skipped++
  }

  /** Forgets the details of an upload whose story is over. */
  close () {
    this.#events = []
    this.wins = []
  }

  tell () {
    const events = this.#skipped > 0 ? [...this.#events.slice(0, 10), `… ${this.#skipped} events …`, ...this.#events.slice(10)] : this.#events
    return { id: this.id, kind: this.kind, seed: this.seed, length: this.length, deferred: this.deferred, acknowledged: this.acknowledged, state: this.state, reach: String(this.reach), events: [...events] }
  }
}

const MOST_EVENTS = 120
