import { UploadMissing } from '../../lib/storage.js'
import { collect, type Block } from './blobs.js'
import type { Entry } from './entries.js'
import { isConflict, Superseded } from './failures.js'
import type { Store } from './store.js'

/**
 * Of how many blocks at the end one is to be made, so that small bodies do not use up the number of blocks: as soon as there are many that together
 * fill no more than one, and none of them is more than half of that. So a byte is moved as often as its block can double.
 */
export function countFoldable (blocks: readonly Block[], blockSize: number): number {
  let sum = 0
  let largest = 0
  let count = 0
  for (let at = blocks.length - 1; at >= 0 && count < MOST && sum + blocks[at]!.size <= blockSize; at--) {
    const { size } = blocks[at]!
    sum += size
    largest = Math.max(largest, size)
    count++
  }
  return count >= LEAST && largest <= sum / 2 ? count : 0
}

/** Reads blocks back and sends them as one. Resolves to the blocks with that one in their place; nothing is committed. */
export async function fold (store: Store, entry: Entry, blocks: readonly Block[], count: number, id: string): Promise<readonly Block[]> {
  const { blobs, names, budget } = store
  const name = names.data(entry.id)
  const size = blocks.slice(-count).reduce((sum, { size }) => sum + size, 0)
  await budget.makeRoom(size)
  budget.take(size)
  try {
    await blobs.stageBlock(name, id, await readRange(store, entry, entry.offset - size, size))
  } finally {
    budget.give(size)
  }
  return [...blocks.slice(0, -count), { id, size }]
}

async function readRange ({ blobs, names }: Store, { id, etag }: Entry, start: number, size: number): Promise<Uint8Array> {
  const found = await blobs.open(names.data(id), { start, size }, etag).catch(error => {
    throw isConflict(error) ? new Superseded(`Another process has gone on with upload ${id}`, { cause: error }) : error
  })
  if (found === null) throw new UploadMissing('The upload was removed')
  const bytes = await collect(found.stream)
  if (bytes.length !== size) throw new Error(`A range has ${bytes.length} bytes instead of ${size}`)
  return bytes
}

const LEAST = 32
const MOST = 64
