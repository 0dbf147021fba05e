import type { Context } from '../context.js'
import { tell } from '../lifecycle.js'
import type { Upload } from '../upload.js'
import type { Exchange } from './exchange.js'
import { find } from './find.js'
import { removeSame } from './identity.js'

/**
 * Removes an upload that is of no use to anybody: its client was not told where it is, or could not go on with it. The caller holds its lock.
 *
 * Does not throw: what led here is what the client is told.
 *
 * @param which `empty`: only if it has got no byte; `incomplete`: if it is not complete
 */
export async function removeUseless (context: Context, created: Upload, which: 'empty' | 'incomplete' | 'any', exchange: Exchange): Promise<void> {
  try {
    const upload = await find(context, created, 'expired too')
    if (upload === null || (which === 'empty' && upload.offset > 0) || (which === 'incomplete' && upload.complete)) return
    await removeSame(context, upload)
    exchange.see(null)
    tell('terminated', upload, exchange, 'useless')
    await context.hooks.runPost('postTerminate', exchange.log, exchange.request, upload)
  } catch (error) {
    exchange.log.error({ err: error, id: created.id }, 'a useless upload could not be removed')
  }
}
