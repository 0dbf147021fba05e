import type { Readable } from 'node:stream'
import type { Context } from '../context.js'
import { TUS_ERR_UPLOAD_INCOMPLETE, TUS_ERR_UPLOAD_NOT_FOUND } from '../errors.js'
import type { ByteRange } from '../storage.js'
import type { Upload } from '../upload.js'
import type { Exchange } from './exchange.js'
import { checkAccess, findFor } from './find.js'

/**
 * The upload that a client wants to read. Takes no lock.
 *
 * @throws TUS_ERR_UPLOAD_NOT_FOUND, TUS_ERR_UPLOAD_INCOMPLETE, what a hook throws
 */
export async function findComplete (context: Context, id: string, exchange: Exchange): Promise<Upload> {
  await checkAccess(context, id, 'download', exchange)
  const upload = await findFor(context, id, exchange)
  if (!upload.complete) throw TUS_ERR_UPLOAD_INCOMPLETE()
  return upload
}

/**
 * Opens the bytes of a complete upload. Whoever reads closes.
 *
 * @throws TUS_ERR_UPLOAD_NOT_FOUND if it was removed meanwhile
 */
export async function openDownload (context: Context, id: string, range: ByteRange): Promise<Readable> {
  const stream = await context.storage.read?.(id, range) ?? null
  if (stream === null) throw TUS_ERR_UPLOAD_NOT_FOUND()
  return stream
}
