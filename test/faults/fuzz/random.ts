/**
 * What is drawn for one request. It depends on seed, connection and index alone, so that any request can be drawn again without those
 * before it.
 */
export class Random {
  #state: number

  constructor (seed: number, connection: number, index: number) {
    this.#state = mix(mix(mix(seed) ^ connection) ^ index)
  }

  /** From 0 up to `below`, which is not reached. */
  int (below: number): number {
    return Math.floor(this.#next() / 2 ** 32 * below)
  }

  chance (probability: number): boolean {
    return this.#next() < probability * 2 ** 32
  }

  pick<Item> (list: readonly Item[]): Item {
    return list[this.int(list.length)]!
  }

  /** One of the keys, as often as its number says. */
  weigh<Key extends string> (weights: Readonly<Record<Key, number>>): Key {
    const entries = Object.entries<number>(weights)
    let left = this.int(entries.reduce((sum, [, weight]) => sum + weight, 0))
    return entries.find(([, weight]) => (left -= weight) < 0)![0] as Key
  }

  bytes (length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.int(256)))
  }

  /** mulberry32 */
  #next (): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
}

/** The finaliser of murmur3: neighbours come out far from each other. */
function mix (number: number): number {
  let mixed = (number + 0x9e3779b9) | 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
