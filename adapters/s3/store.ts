import { UploadMissing } from '../../lib/storage.js'
import type { Background } from './background.js'
import type { S3Bucket } from './bucket.js'
import type { MemoryBudget } from './budget.js'
import type { Keys } from './keys.js'
import { createName } from './keys.js'
import type { ObjectOptions, ResolvedS3Options } from './options.js'
import type { Piece, UploadRecord } from './record.js'
import type { Records } from './records.js'

/** What every operation of this storage works with. */
export interface Store {
  readonly bucket: S3Bucket
  readonly keys: Keys
  readonly options: ResolvedS3Options
  readonly records: Records
  readonly budget: MemoryBudget
  readonly background: Background
}

/** Stores bytes under a name that nothing else has. */
export async function putPiece ({ bucket, keys }: Store, id: string, bytes: Uint8Array): Promise<Piece> {
  const name = createName()
  await bucket.put(keys.piece(id, name), bytes, {}, { Metadata: { [MARK]: id } })
  return { name, size: bytes.length }
}

/** @throws UploadMissing if it is not there any more: the upload was removed, or another process has gone on with it */
export async function readPiece ({ bucket, keys }: Store, id: string, { name, size }: Piece): Promise<Uint8Array> {
  const found = await bucket.get(keys.piece(id, name))
  if (found === null || found === 'unchanged') throw new UploadMissing('A piece of the upload is gone')
  if (found.bytes.length !== size) throw new Error(`A piece has ${found.bytes.length} bytes where its record says ${size}`)
  return found.bytes
}

/** Removes pieces that no record names. Nobody waits for it. */
export function deletePieces ({ bucket, keys, background }: Store, id: string, pieces: readonly Piece[]): void {
  if (pieces.length > 0) background.run(() => bucket.delete(pieces.map(({ name }) => keys.piece(id, name))))
}

/** What the object of an upload is stored with: what the application wants, and whose it is. */
export function getObjectOptions ({ options }: Store, { upload, mark }: UploadRecord, attempt: string): ObjectOptions {
  const wanted = options.objectOptions(upload)
  return { ...wanted, Metadata: { ...wanted.Metadata, [MARK]: mark, [ATTEMPT]: attempt } }
}

/** The names of metadata by which objects of this storage are known. */
export const MARK = 'fastify-tus'
export const ATTEMPT = 'fastify-tus-attempt'
