import type { RequestBody } from '../body.js'
import type { Context } from '../context.js'
import { TUS_ERR_UPLOAD_STOPPED } from '../errors.js'
import { StopUpload } from '../hooks.js'
import { tell } from '../lifecycle.js'
import type { Addition } from '../storage.js'
import type { Upload } from '../upload.js'
import type { Exchange } from './exchange.js'
import { removeSame } from './identity.js'

/**
 * Runs the `postReceive` hooks as bytes become durable: during a long body at most once per interval and one at a time, and
 * once more at its end.
 */
export class Reporter {
  readonly #context: Context
  readonly #upload: Upload
  readonly #exchange: Exchange
  readonly #body: RequestBody
  #reported: number
  #running: Promise<void> | null = null
  #stopped: StopUpload | null = null
  #removed = false

  constructor (context: Context, upload: Upload, exchange: Exchange, body: RequestBody) {
    this.#context = context
    this.#upload = upload
    this.#exchange = exchange
    this.#body = body
    this.#reported = upload.offset
  }

  /** What an `append` has to know to report, to hooks and to the client: nothing where nobody listens. */
  createAddition (keep: Addition['keep']): Pick<Addition, 'keep' | 'onProgress' | 'progressInterval'> {
    const { hooks, options: { progressInterval } } = this.#context
    if (keep !== 'prefix' || (!hooks.has('postReceive') && this.#exchange.progress === null)) return { keep }
    this.#body.remindEvery(progressInterval)
    return { keep, onProgress: offset => this.#progress(offset), progressInterval }
  }

  /**
   * Reports what is not reported yet.
   *
   * @throws TUS_ERR_UPLOAD_STOPPED if a hook ended the upload, which is then removed
   */
  end (upload: Upload): Promise<void> | void {
    if (this.#running !== null || this.#context.hooks.has('postReceive')) return this.#endReports(upload)
  }

  async #endReports (upload: Upload): Promise<void> {
    await this.#running
    if (this.#stopped === null && upload.offset > this.#reported) await this.#report(upload)
    if (this.#stopped !== null) await this.#remove(upload, this.#stopped)
  }

  /** What to say of a body that failed: the word of a hook that had ended the upload counts all the same. */
  async fail (failure: Error): Promise<Error> {
    await this.#running
    if (this.#stopped === null || this.#removed) return failure
    return this.#remove(this.#upload, this.#stopped).then(() => failure, (error: Error) => error)
  }

  #progress (offset: number): void {
    this.#body.noteDurable(offset - this.#upload.offset)
    // What arrives between the word of a hook and the end of the body is no news any more, and must not take the word back.
    if (this.#stopped !== null) return
    this.#exchange.progress?.(offset)
    // A hook that takes longer than the interval is not called again before it is done.
    this.#running ??= this.#report({ ...this.#upload, offset }).finally(() => { this.#running = null })
  }

  async #report (upload: Upload): Promise<void> {
    const { hooks } = this.#context
    this.#reported = upload.offset
    this.#stopped = await hooks.runReceive(this.#exchange.log, this.#exchange.request, upload)
    if (this.#stopped !== null) this.#body.interrupt('stopped')
  }

  async #remove (upload: Upload, { message, statusCode }: StopUpload): Promise<void> {
    const { hooks } = this.#context
    this.#removed = true
    await removeSame(this.#context, upload)
    this.#exchange.see(null)
    tell('terminated', upload, this.#exchange, 'stopped')
    await hooks.runPost('postTerminate', this.#exchange.log, this.#exchange.request, upload)
    throw Object.assign(TUS_ERR_UPLOAD_STOPPED({ reason: message }), { statusCode })
  }
}
