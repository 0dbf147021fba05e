import type { Readable } from 'node:stream'
import type { Context } from '../context.js'
import { TUS_ERR_UPLOAD_INCOMPLETE, TUS_ERR_UPLOAD_NOT_FOUND } from '../errors.js'
import type { ByteRange } from '../storage.js'
import type { Upload, UploadRef } from '../upload.js'
import type { Exchange } from './exchange.js'
import { checkAccess, checkWhole, findOrThrow } from './find.js'

/**
 * The upload that a client wants to read. Takes no lock. A partial upload is not there for it.
 *
 * @throws TUS_ERR_UPLOAD_NOT_FOUND, TUS_ERR_UPLOAD_INCOMPLETE, what a hook throws
 */
export async function findComplete (context: Context, id: string, exchange: Exchange): Promise<Upload> {
  const admitted = await checkAccess(context, id, 'download', exchange)
  const upload = await findOrThrow(context, admitted)
  checkWhole(upload)
  exchange.see(upload)
  if (!upload.complete) throw TUS_ERR_UPLOAD_INCOMPLETE()
  return upload
}

/**
 * For a GET that asks for no bytes: it tells no more of a partial upload than any other.
 *
 * @throws TUS_ERR_UPLOAD_NOT_FOUND, TUS_ERR_UPLOAD_EXPIRED
 */
export async function checkReadable (context: Context, id: string): Promise<void> {
  checkWhole(await findOrThrow(context, id))
}

/**
 * Opens the bytes of a complete upload. Whoever reads closes.
 *
 * @throws TUS_ERR_UPLOAD_NOT_FOUND if it was removed meanwhile
 */
export async function openDownload (context: Context, { id, createdAt }: UploadRef, range: ByteRange): Promise<Readable> {
  const stream = await context.storage.read?.(id, range, createdAt) ?? null
  if (stream === null) throw TUS_ERR_UPLOAD_NOT_FOUND()
  return stream
}
