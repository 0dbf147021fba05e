import { KiB, MiB } from './sizes.mjs'

const parallel64 = {
  unit: 'MB/s',
  needs: 'whole',
  connections: 64,
  uploadSize: 4 * MiB,
  warmup: { uploads: 64 },
  timed: { uploads: 192 },
  quick: { uploadSize: 128 * KiB, timed: { uploads: 64 } }
}

/** @type {import('./index.mjs').Workload[]} */
export const parallel = [
  {
    name: 'parallel-8',
    title: '8 parallel uploads of 32 MiB',
    unit: 'MB/s',
    needs: 'whole',
    connections: 8,
    uploadSize: 32 * MiB,
    warmup: { uploads: 8 },
    timed: { uploads: 24 },
    quick: { uploadSize: MiB, timed: { uploads: 8 } }
  },
  { ...parallel64, name: 'parallel-64', title: '64 parallel uploads of 4 MiB' },
  {
    ...parallel64,
    name: 'parallel-512',
    title: '512 parallel uploads of 1 MiB',
    connections: 512,
    uploadSize: MiB,
    warmup: { uploads: 512 },
    timed: { uploads: 1024 },
    quick: { uploadSize: 4 * KiB, warmup: { uploads: 8 }, timed: { uploads: 512 } }
  },
  {
    ...parallel64,
    name: 'workers-64',
    title: '64 parallel uploads of 4 MiB, with more processes',
    needs: 'workers',
    reference: 'fastify-tus-1-worker',
    timed: { uploads: 384 }
  }
]
