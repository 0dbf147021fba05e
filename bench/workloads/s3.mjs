import { KiB, MiB } from './sizes.mjs'

const shapes = [
  {
    name: 'one-patch',
    title: 'One PATCH of 256 MiB',
    unit: 'MB/s',
    connections: 1,
    uploadSize: 256 * MiB,
    warmup: { uploads: 1, uploadSize: 64 * MiB },
    timed: { uploads: 2 },
    quick: { uploadSize: 8 * MiB, warmup: { uploads: 1 }, timed: { uploads: 1 } }
  },
  {
    name: 'parallel-8',
    title: '8 parallel uploads of 32 MiB',
    unit: 'MB/s',
    connections: 8,
    uploadSize: 32 * MiB,
    warmup: { uploads: 8 },
    timed: { uploads: 16 },
    quick: { uploadSize: MiB, timed: { uploads: 8 } }
  },
  {
    name: 'post-patch-1k',
    title: 'POST + PATCH of 1 KiB, 8 connections',
    unit: 'uploads/s',
    connections: 8,
    uploadSize: KiB,
    warmup: { uploads: 500 },
    timed: { seconds: 3 },
    quick: { warmup: { uploads: 16 }, timed: { uploads: 32 } }
  }
]

/** @type {import('./index.mjs').Workload[]} */
export const s3 = [
  ...shapes.map(shape => ({ ...shape, name: `s3-${shape.name}`, title: `${shape.title}, into S3`, needs: 's3', place: 's3', reference: 'tus-server-s3' })),
  ...shapes.map(shape => ({
    ...shape, name: `sink-${shape.name}`, title: `${shape.title}, into S3 that throws the bytes away`, needs: 'sink', place: 'sink', reference: 'lib-storage'
  }))
]
