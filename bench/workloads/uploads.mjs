const KiB = 1024
const MiB = 1024 * KiB

const small = {
  unit: 'uploads/s',
  connections: 8,
  uploadSize: KiB,
  patchSize: KiB,
  warmup: { seconds: 1 },
  timed: { seconds: 2 },
  quick: { warmup: { uploads: 32 }, timed: { uploads: 64 } }
}

/** @type {import('./index.mjs').Workload[]} */
export const uploads = [
  {
    name: 'one-patch',
    title: 'One PATCH of 256 MiB',
    unit: 'MB/s',
    connections: 1,
    uploadSize: 256 * MiB,
    patchSize: 256 * MiB,
    warmup: { uploads: 1 },
    timed: { uploads: 3 },
    quick: { uploadSize: 8 * MiB, patchSize: 8 * MiB, timed: { uploads: 1 } }
  },
  {
    name: 'patches-1m',
    title: 'PATCHes of 1 MiB, one after the other, to uploads of 256 MiB',
    unit: 'MB/s',
    connections: 1,
    uploadSize: 256 * MiB,
    patchSize: MiB,
    warmup: { uploads: 1 },
    timed: { uploads: 2 },
    quick: { uploadSize: 8 * MiB, timed: { uploads: 1 } }
  },
  {
    name: 'parallel-8',
    title: '8 parallel uploads of 32 MiB',
    unit: 'MB/s',
    connections: 8,
    uploadSize: 32 * MiB,
    patchSize: 32 * MiB,
    warmup: { uploads: 8 },
    timed: { uploads: 24 },
    quick: { uploadSize: MiB, timed: { uploads: 8 } }
  },
  {
    name: 'parallel-64',
    title: '64 parallel uploads of 4 MiB',
    unit: 'MB/s',
    connections: 64,
    uploadSize: 4 * MiB,
    patchSize: 4 * MiB,
    warmup: { uploads: 64 },
    timed: { uploads: 192 },
    quick: { uploadSize: 128 * KiB, timed: { uploads: 64 } }
  },
  { ...small, name: 'post-patch-1k', title: 'POST + PATCH of 1 KiB, 8 connections' },
  { ...small, name: 'creation-1k', title: 'Creation-with-upload of 1 KiB, 8 connections', withBody: true }
]
