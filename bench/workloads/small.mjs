import { KiB, MiB } from './sizes.mjs'

const pair = {
  unit: 'uploads/s',
  needs: 'patches',
  connections: 8,
  uploadSize: KiB,
  // So many that the code is compiled, however slow the machine is.
  warmup: { uploads: 1500 },
  timed: { seconds: 2 },
  quick: { warmup: { uploads: 32 }, timed: { uploads: 64 } }
}

// So long that what is made durable later falls into the measured time.
const onDisk = { ...pair, also: ['small-on-disk'], place: 'disk', timed: { seconds: 5 } }

const creation = { ...pair, needs: 'creation', withBody: true }

const groupCommit = {
  ...onDisk,
  warmup: { uploads: 500 },
  only: ['fastify-tus', 'fastify-tus-journal'],
  group: { name: 'group-commit', title: 'POST + PATCH of 1 KiB on disk, by the number of connections' }
}

/** @type {import('./index.mjs').Workload[]} */
export const small = [
  { ...pair, name: 'post-patch-1k', title: 'POST + PATCH of 1 KiB, 8 connections' },
  { ...onDisk, name: 'disk-post-patch-1k', title: 'POST + PATCH of 1 KiB, 8 connections, on disk' },
  { ...groupCommit, name: 'group-commit-1', title: 'POST + PATCH of 1 KiB on disk, 1 connection', variant: '1', connections: 1 },
  { ...groupCommit, name: 'group-commit-64', title: 'POST + PATCH of 1 KiB on disk, 64 connections', variant: '64', connections: 64 },
  { ...creation, name: 'creation-1k', title: 'Creation-with-upload of 1 KiB, 8 connections' },
  { ...creation, name: 'creation-64k', title: 'Creation-with-upload of 64 KiB, 8 connections', uploadSize: 64 * KiB },
  {
    ...creation,
    name: 'creation-1m',
    title: 'Creation-with-upload of 1 MiB, 8 connections',
    uploadSize: MiB,
    warmup: { uploads: 300 },
    quick: { warmup: { uploads: 8 }, timed: { uploads: 16 } }
  }
]
