import { uploads } from './uploads.mjs'

/**
 * What the load generator does to a server. Sizes are in bytes.
 *
 * @typedef {object} Workload
 * @property {string} name what `--workload` and the JSON call it
 * @property {string} title
 * @property {'MB/s' | 'uploads/s'} unit what counts
 * @property {number} connections that send at the same time, one upload after the other each
 * @property {number} uploadSize
 * @property {number} patchSize of every request but perhaps the last
 * @property {boolean} [withBody] the first bytes come with the POST
 * @property {Amount} warmup what comes before the timed part, and is checked
 * @property {Amount} timed
 * @property {Partial<Workload>} quick what a smoke run does instead
 */

/** Ends after so many uploads, or begins no new one after so many seconds. @typedef {{ uploads: number } | { seconds: number }} Amount */

/** @type {Workload[]} */
export const workloads = [...uploads]
