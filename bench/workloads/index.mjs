import { large } from './large.mjs'
import { others } from './others.mjs'
import { parallel } from './parallel.mjs'
import { reads } from './reads.mjs'
import { s3 } from './s3.mjs'
import { small } from './small.mjs'

/**
 * What the load generator does to a server. Sizes are in bytes.
 *
 * @typedef {object} Workload
 * @property {string} name what `--workload` and the JSON call it
 * @property {string} title
 * @property {import('../runner/units.mjs').Unit} unit what counts
 * @property {import('../servers/index.mjs').Ability} needs what a server must be able to do; servers with one of `also` take part too
 * @property {import('../servers/index.mjs').Ability[]} [also]
 * @property {string[]} [only] the names of the only contestants that it is about
 * @property {string} [reference] the contestant that ratios refer to, @tus/server on http if nothing is said
 * @property {'memory' | 'disk' | 's3' | 'sink'} [place] where to store, `memory` if nothing is said
 * @property {Group} [group] with others of the same group, it takes turns in one process, and stands in one table
 * @property {string} [variant] its name within the group
 * @property {'upload' | 'get' | 'head' | 'slow'} [kind] `upload` if nothing is said
 * @property {number} connections that send at the same time, one upload after the other each
 * @property {number} uploadSize
 * @property {number} [patchSize] of every request but perhaps the last; the whole upload if nothing is said
 * @property {boolean} [withBody] the first bytes come with the POST
 * @property {string} [checksum] the algorithm
 * @property {number} [range] how much of an upload a GET asks for; all if nothing is said
 * @property {number} [rate] what each client sends, in bytes per second
 * @property {Partial<Workload> & Amount} [ground] what lies there before anything is measured
 * @property {Partial<Workload> & Amount} warmup what comes before the timed part, and is checked
 * @property {Amount} timed
 * @property {Partial<Workload>} quick what a smoke run does instead
 */

/** Ends after so many uploads, or begins no new one after so many seconds. @typedef {{ uploads: number } | { seconds: number }} Amount */

/** The first is what ratios refer to. @typedef {{ name: string, title: string }} Group */

/** @type {Workload[]} */
export const workloads = [...large, ...parallel, ...small, ...reads, ...others, ...s3].map(workload => ({ reference: 'tus-server', place: 'memory', kind: 'upload', ...workload }))
