import { summarize } from './statistics.mjs'

/** The median, and behind it the lowest and the highest if there are several. */
export function formatSpread (values, format) {
  const { median, min, max } = summarize(values)
  return values.length === 1 ? format(median) : `${format(median)} (${format(min)}–${format(max)})`
}

/** With two or three digits that count, or as many as stand before the point. */
export function formatNumber (number) {
  return number < 10 ? number.toFixed(2) : number.toFixed(0)
}

/** Of bytes. */
export function formatMemory (bytes) {
  return bytes < 2 ** 30 ? `${(bytes / 2 ** 20).toFixed(0)} MiB` : `${(bytes / 2 ** 30).toFixed(0)} GiB`
}

/** Of seconds. */
export function formatTime (seconds) {
  return seconds < 1 ? `${formatNumber(seconds * 1000)} ms` : `${formatNumber(seconds)} s`
}
