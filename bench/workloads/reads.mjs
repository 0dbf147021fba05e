import { KiB, MiB } from './sizes.mjs'

const download = {
  unit: 'MB/s',
  kind: 'get',
  reference: 'fastify-static',
  connections: 1,
  uploadSize: 256 * MiB,
  warmup: { uploads: 1 },
  timed: { uploads: 4 },
  quick: { uploadSize: 8 * MiB, timed: { uploads: 2 } }
}

/** @type {import('./index.mjs').Workload[]} */
export const reads = [
  {
    name: 'head',
    title: 'HEAD, 8 connections',
    unit: 'requests/s',
    needs: 'head',
    kind: 'head',
    connections: 8,
    uploadSize: KiB,
    warmup: { uploads: 8 },
    timed: { seconds: 2 },
    quick: { timed: { uploads: 64 } }
  },
  { ...download, name: 'get', title: 'GET of 256 MiB', needs: 'get', also: ['file'] },
  {
    ...download,
    name: 'get-8',
    title: 'GET of 32 MiB, 8 connections',
    needs: 'get',
    also: ['file'],
    connections: 8,
    uploadSize: 32 * MiB,
    warmup: { uploads: 8 },
    timed: { uploads: 32 },
    quick: { uploadSize: MiB, timed: { uploads: 8 } }
  },
  {
    ...download,
    name: 'get-range-1m',
    title: 'GET of ranges of 1 MiB out of 32 MiB, 8 connections',
    needs: 'range',
    also: ['file'],
    connections: 8,
    range: MiB,
    uploadSize: 32 * MiB,
    warmup: { uploads: 8 },
    timed: { uploads: 1024 },
    quick: { uploadSize: 8 * MiB, timed: { uploads: 16 } }
  }
]
