import type { Context } from '../context.js'
import { TUS_ERR_APPEND_TOO_LARGE, TUS_ERR_BODY_TOO_LONG, TUS_ERR_UPLOAD_TOO_LARGE, TusError } from '../errors.js'
import { tell } from '../lifecycle.js'
import { getRoom, type Upload } from '../upload.js'
import type { BodyCommand } from './commands.js'
import type { Exchange } from './exchange.js'
import { removeSame } from './identity.js'

type Extent = Pick<Upload, 'length' | 'offset'>

/** @throws TUS_ERR_UPLOAD_TOO_LARGE if uploads of that length are not taken from this client (CR-12, CD-8) */
export function checkLength (length: number | null, max: number): void {
  if (length !== null && length > max) throw TUS_ERR_UPLOAD_TOO_LARGE({ max })
}

/**
 * Refuses a body that announces more bytes than fit.
 *
 * @throws what {@link limitBody} gives as `overflow`
 */
export function checkBody (context: Context, extent: Extent, body: Pick<BodyCommand, 'declared' | 'maxSize'>): void {
  const { declared, maxSize } = body
  const { limit, overflow } = limitBody(context, extent, maxSize)
  if (declared !== null && declared > limit) throw overflow()
}

/**
 * How many bytes a body may bring to an upload, and the error for more: the tightest of the three limits.
 *
 * @param maxSize of an upload without a length, where that depends on the request
 */
export function limitBody (context: Context, extent: Extent, maxSize?: number): { limit: number, overflow: () => Error } {
  const { maxAppendSize, announcedMaxSize } = context.options
  const room = getRoom(extent)
  const max = extent.length === null ? maxSize ?? announcedMaxSize ?? Infinity : Infinity
  const left = Math.max(0, max - extent.offset)
  const limit = Math.min(room, maxAppendSize, left)
  return {
    limit,
    overflow: () => {
      if (limit === room) return TUS_ERR_BODY_TOO_LONG({ length: extent.length ?? Infinity })
      return limit === left ? TUS_ERR_UPLOAD_TOO_LARGE({ max }) : TUS_ERR_APPEND_TOO_LARGE({ max: maxAppendSize })
    }
  }
}

/**
 * Removes an upload whose client sent more than its length, where the client knows it as lost then; and throws what it was given.
 *
 * @throws error
 */
export async function removeOnOverflow (context: Context, upload: Upload, command: BodyCommand, { request, log, see }: Exchange, error: unknown): Promise<never> {
  if (!upload.complete && isBeyond(error, command)) {
    await removeSame(context, upload)
    see(null)
    tell('terminated', upload, { request, log }, 'too-long')
    await context.hooks.runPost('postTerminate', log, request, upload)
  }
  throw error
}

/** Whether a body went beyond the length of its upload, and the upload is lost by that. */
export function isBeyond (error: unknown, { onOverflow }: BodyCommand): boolean {
  return onOverflow === 'remove' && error instanceof TusError && error.code === 'TUS_ERR_BODY_TOO_LONG'
}
