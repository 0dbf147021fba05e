/**
 * How a sample becomes a figure, and what processor time is set against.
 *
 * @typedef {'MB/s' | 'uploads/s' | 'requests/s' | 'ms'} Unit
 */

const PER_REQUEST = 1e6

/** @type {Record<Unit, { label: string, better: 'more' | 'less', getRate: (sample: object) => number, cost: string, getCost: (sample: object) => number }>} */
export const units = {
  'MB/s': {
    label: 'MB/s',
    better: 'more',
    getRate: ({ bytes, seconds }) => bytes / 1e6 / seconds,
    cost: 'CPU s per GiB',
    getCost: ({ serverCpu, bytes }) => serverCpu / (bytes / 2 ** 30)
  },
  'uploads/s': {
    label: 'uploads/s',
    better: 'more',
    getRate: ({ uploads, seconds }) => uploads / seconds,
    cost: 'CPU µs per upload',
    getCost: ({ serverCpu, uploads }) => serverCpu / uploads * PER_REQUEST
  },
  'requests/s': {
    label: 'requests/s',
    better: 'more',
    getRate: ({ latency, seconds }) => latency.count / seconds,
    cost: 'CPU µs per request',
    getCost: ({ serverCpu, latency }) => serverCpu / latency.count * PER_REQUEST
  },
  ms: {
    label: 'p99 of HEAD, ms',
    better: 'less',
    getRate: ({ probe }) => probe.p99 * 1e3,
    cost: 'CPU, cores',
    getCost: ({ serverCpu, seconds }) => serverCpu / seconds
  }
}
