import type { Test } from 'tap'

/** Random numbers that can be had again. */
export interface Random {
  /** What gives the same numbers again. */
  readonly seed: number
  /** From 0 to below 1. */
  next(): number
  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number
  pick<Item>(items: readonly Item[]): Item
}

/** Random numbers for one test, the same at each run; `FASTIFY_TUS_E2E_SEED` gives others: a seed, or `random` for one that is drawn. It is printed. */
export function makeRandom (t: Test): Random {
  const { FASTIFY_TUS_E2E_SEED: wanted = '20260101' } = process.env
  const seed = wanted === 'random' ? Math.floor(Math.random() * 2 ** 32) : Number(wanted)
  t.comment(`FASTIFY_TUS_E2E_SEED=${seed}`)
  return createRandom(seed)
}

/** mulberry32 */
export function createRandom (seed: number): Random {
  let state = seed
  const next = () => {
    state = (state + 0x6D2B79F5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const between = (low: number, high: number) => low + Math.floor(next() * (high - low + 1))
  return { seed, next, between, pick: items => items[between(0, items.length - 1)]! }
}
