import { KiB, MiB } from './sizes.mjs'

const patches = {
  unit: 'MB/s',
  needs: 'patches',
  connections: 1,
  warmup: { uploads: 1 },
  timed: { uploads: 2 }
}

const onePatch = {
  unit: 'MB/s',
  needs: 'whole',
  connections: 1,
  uploadSize: 256 * MiB,
  warmup: { uploads: 1 },
  timed: { uploads: 3 },
  quick: { uploadSize: 8 * MiB, timed: { uploads: 1 } }
}

/** @type {import('./index.mjs').Workload[]} */
export const large = [
  { ...onePatch, name: 'one-patch', title: 'One PATCH of 256 MiB' },
  {
    ...onePatch,
    name: 'one-patch-1g',
    title: 'One PATCH of 1 GiB',
    uploadSize: 1024 * MiB,
    warmup: { uploads: 1, uploadSize: 64 * MiB },
    timed: { uploads: 1 },
    quick: { uploadSize: 16 * MiB, warmup: { uploads: 1 } }
  },
  { ...onePatch, name: 'disk-one-patch', title: 'One PATCH of 256 MiB, on disk', place: 'disk' },
  {
    ...patches,
    name: 'patches-64k',
    title: 'PATCHes of 64 KiB, one after the other, to uploads of 64 MiB',
    unit: 'requests/s',
    uploadSize: 64 * MiB,
    patchSize: 64 * KiB,
    quick: { uploadSize: MiB, timed: { uploads: 1 } }
  },
  {
    ...patches,
    name: 'patches-1m',
    title: 'PATCHes of 1 MiB, one after the other, to uploads of 256 MiB',
    uploadSize: 256 * MiB,
    patchSize: MiB,
    quick: { uploadSize: 8 * MiB, timed: { uploads: 1 } }
  },
  {
    ...patches,
    name: 'patches-8m',
    title: 'PATCHes of 8 MiB, one after the other, to uploads of 256 MiB',
    uploadSize: 256 * MiB,
    patchSize: 8 * MiB,
    quick: { uploadSize: 16 * MiB, timed: { uploads: 1 } }
  }
]
