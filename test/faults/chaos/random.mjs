/** Numbers that look random and are the same for the same seed, which may be any string. */
export function createRandom (seed) {
  let state = hash(seed)

  /** From 0 to below 1 (mulberry32). */
  function next () {
    state = state + 0x6D2B79F5 | 0
    let t = Math.imul(state ^ state >>> 15, 1 | state)
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32
  }

  const int = (min, max) => min + Math.floor(next() * (max - min + 1))
  return {
    next,
    /** Both bounds included. */
    int,
    pick: list => list[int(0, list.length - 1)],
    chance: share => next() < share,
    /** From 1 to `max`, each order of magnitude as often as any other. */
    size: max => max < 1 ? 0 : Math.max(1, Math.floor(Math.exp(next() * Math.log(max + 1)))),
    /** A value of a list of pairs, each as often as its weight says. */
    weighted (pairs) {
      let left = next() * pairs.reduce((sum, [weight]) => sum + weight, 0)
      return pairs.find(([weight]) => (left -= weight) < 0)?.[1] ?? pairs[0][1]
    }
  }
}

/** FNV-1a. */
function hash (text) {
  let value = 0x811C9DC5
  for (const byte of Buffer.from(String(text))) value = Math.imul(value ^ byte, 0x01000193)
  return value
}
