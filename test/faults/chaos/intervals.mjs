/** A set of whole numbers, kept as ranges with both ends included. */
export class Intervals {
  #ranges = []

  add (from, to) {
    const apart = this.#ranges.filter(([start, end]) => end < from - 1 || start > to + 1)
    const merged = this.#ranges.filter(([start, end]) => end >= from - 1 && start <= to + 1)
    this.#ranges = [...apart, [Math.min(from, ...merged.map(([start]) => start)), Math.max(to, ...merged.map(([, end]) => end))]]
  }

  has (value) {
    return this.#ranges.some(([start, end]) => start <= value && value <= end)
  }

  toString () {
    return this.#ranges.sort(([a], [b]) => a - b).map(([start, end]) => start === end ? start : `${start}–${end}`).join(', ')
  }
}
