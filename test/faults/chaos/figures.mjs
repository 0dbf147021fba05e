/** What is counted and measured during a run; bounded, however long it is. */
export class Figures {
  #counts = new Map()
  #samples = new Map()

  count (table, key, by = 1) {
    const counts = this.#counts.get(table) ?? new Map()
    this.#counts.set(table, counts)
    counts.set(key, (counts.get(key) ?? 0) + by)
  }

  get (table, key) {
    return this.#counts.get(table)?.get(key) ?? 0
  }

  total (table) {
    return [...this.#counts.get(table)?.values() ?? []].reduce((sum, count) => sum + count, 0)
  }

  entries (table) {
    return [...this.#counts.get(table) ?? []].sort(([a], [b]) => a < b ? -1 : 1)
  }

  /** @param value in ms */
  measure (name, value) {
    const samples = this.#samples.get(name) ?? []
    this.#samples.set(name, samples)
    if (samples.length < MOST_SAMPLES) samples.push(value)
  }

  summarize (name) {
    const samples = (this.#samples.get(name) ?? []).sort((a, b) => a - b)
    const at = share => samples.length === 0 ? null : Math.round(samples[Math.min(samples.length - 1, Math.floor(samples.length * share))] * 10) / 10
    return { count: samples.length, median: at(0.5), p99: at(0.99), max: at(1) }
  }

  toJSON () {
    return {
      ...Object.fromEntries([...this.#counts.keys()].map(table => [table, Object.fromEntries(this.entries(table))])),
      latencies: Object.fromEntries([...this.#samples.keys()].map(name => [name, this.summarize(name)]))
    }
  }
}

const MOST_SAMPLES = 1_000_000
