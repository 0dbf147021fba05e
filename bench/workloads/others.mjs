import { KiB, MiB } from './sizes.mjs'

const checksums = { name: 'checksums', title: 'One PATCH of 64 MiB with a checksum' }

const open = {
  unit: 'requests/s',
  needs: 'patches',
  only: ['fastify-tus'],
  group: { name: 'open-uploads', title: 'PATCHes of 64 KiB, beside uploads that are open' },
  connections: 1,
  uploadSize: 64 * MiB,
  patchSize: 64 * KiB,
  warmup: { uploads: 1 },
  timed: { uploads: 2 },
  quick: { uploadSize: MiB, timed: { uploads: 1 } }
}

const begun = { uploads: 10_000, uploadSize: 2 * KiB, patchSize: KiB, withBody: true, abandon: true, connections: 8 }

/** @type {import('./index.mjs').Workload[]} */
export const others = [
  ...['none', 'crc32', 'sha1', 'sha256', 'sha512', 'md5'].map(algorithm => ({
    name: `checksum-${algorithm}`,
    title: `One PATCH of 64 MiB, ${algorithm === 'none' ? 'without a checksum' : `with ${algorithm}`}`,
    unit: 'MB/s',
    needs: 'checksum',
    group: checksums,
    variant: algorithm,
    connections: 1,
    uploadSize: 64 * MiB,
    checksum: algorithm === 'none' ? undefined : algorithm,
    warmup: { uploads: 2 },
    timed: { uploads: 6 },
    quick: { uploadSize: 4 * MiB, warmup: { uploads: 1 }, timed: { uploads: 1 } }
  })),
  { ...open, name: 'open-none', title: 'PATCHes of 64 KiB beside no open upload', variant: 'none' },
  {
    ...open,
    name: 'open-10000',
    title: 'PATCHes of 64 KiB beside 10 000 open uploads',
    variant: '10 000',
    ground: begun,
    quick: { ...open.quick, ground: { ...begun, uploads: 200 } }
  },
  {
    name: 'slow-200',
    title: '200 clients that send 64 KiB/s each, and one that asks with HEAD every 5 ms',
    unit: 'ms',
    needs: 'head',
    kind: 'slow',
    connections: 200,
    uploadSize: 256 * MiB,
    rate: 64 * KiB,
    warmup: { uploads: 16, uploadSize: KiB, rate: 0 },
    timed: { seconds: 8 },
    quick: { timed: { seconds: 0.3 } }
  }
]
