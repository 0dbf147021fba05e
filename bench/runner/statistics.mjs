import { units } from './units.mjs'

/** The middle of some numbers, and how far they lie apart. */
export function summarize (values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const median = (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2
  return { median, min: sorted[0], max: sorted.at(-1) }
}

/** What counts in a workload, of one sample. */
export function getRate ({ unit }, sample) {
  return units[unit].getRate(sample)
}

/** Processor time of the server for what counts. */
export function getCost ({ unit }, sample) {
  return units[unit].getCost(sample)
}

/**
 * How a figure of some samples compares with that of others; of each round on its own, since both ran within the same minute then.
 *
 * @param {(sample: object) => number} getFigure
 */
export function getRatios (samples, base, getFigure) {
  const figures = new Map(base.map(sample => [sample.round, getFigure(sample)]))
  return samples.filter(({ round }) => figures.has(round)).map(sample => getFigure(sample) / figures.get(sample.round))
}
