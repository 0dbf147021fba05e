/** The middle of some numbers, and how far they lie apart. */
export function summarize (values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const median = (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2
  return { median, min: sorted[0], max: sorted.at(-1) }
}

/** What counts in a workload: millions of bytes, or uploads, per second. */
export function getRate (workload, { bytes, uploads, seconds }) {
  return (workload.unit === 'MB/s' ? bytes / 1e6 : uploads) / seconds
}

/** Of each round on its own: both contestants of a pair ran within the same minute. */
export function getRatios (workload, samples, reference) {
  const base = new Map(reference.map(sample => [sample.round, getRate(workload, sample)]))
  return samples.filter(({ round }) => base.has(round)).map(sample => getRate(workload, sample) / base.get(sample.round))
}

/** Processor time of the server for what counts: seconds per GiB, or microseconds per upload. */
export function getCost (workload, { serverCpu, bytes, uploads }) {
  return workload.unit === 'MB/s' ? serverCpu / (bytes / 2 ** 30) : serverCpu / uploads * 1e6
}
