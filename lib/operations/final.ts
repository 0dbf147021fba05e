import type { Context } from '../context.js'
import { TUS_ERR_BODY_CUT, TUS_ERR_CONCAT_PART_NOT_FOUND } from '../errors.js'
import { LockTimeout } from '../locker.js'
import { isFull, type Upload } from '../upload.js'
import { answerIfDue } from './answer.js'
import type { Completion } from './complete.js'
import { composeAlone, isPostponed, noteKnown } from './compose.js'
import { checkUnanswered, type Exchange } from './exchange.js'
import { isStorageFailure } from './failure.js'
import { removeUseless } from './useless.js'
import { within } from './within.js'

/**
 * Creates a final upload, and puts it together if its parts are there. Resolves when it is complete, or after `concatTimeout`: the copy continues then.
 *
 * A client that leaves before it was answered does not know of the upload, and will ask for another one: the copy ends, and the upload is removed unless it is complete. Until its
 * client is about to be told, the record says so (`when-told`): what a process that dies leaves is not put together by itself, and expires.
 *
 * @param store creates it, under its lock
 */
export async function createFinal (context: Context, id: string, store: () => Promise<Upload>, exchange: Exchange): Promise<Completion> {
  const { compositions, locker, options } = context
  const release = compositions.admission.enter(exchange.request)
  const end = await compositions.enter(id, options.lockTimeout).catch(error => {
    release()
    throw error
  })
  const leave = () => {
    end()
    release()
  }
  const upload = await locker.withLock(id, options.lockTimeout, store).catch(error => {
    leave()
    throw error
  })
  return new Creation(context, upload, exchange).run(leave)
}

/** The request that creates a final upload. */
class Creation {
  readonly #context: Context
  readonly #upload: Upload
  readonly #exchange: Exchange
  readonly #gone = new AbortController()
  #telling: Promise<Upload> | null = null
  /** Whether it is put together whatever becomes of this request. */
  #isKnown = false
  /** Whether the client is answered, and what happens from here on is only logged. */
  #isAnswered = false

  constructor (context: Context, upload: Upload, exchange: Exchange) {
    this.#context = context
    this.#upload = upload
    this.#exchange = exchange
  }

  async run (leave: () => void): Promise<Completion> {
    const { background, options } = this.#context
    const work = this.#compose().finally(leave)
    background.run(() => work.then(() => {}, error => this.#report(error)), this.#exchange.log)
    this.#exchange.whenGone(() => {
      this.#gone.abort(TUS_ERR_BODY_CUT({ offset: 0 }))
      background.run(() => work.then(() => this.#remove(), () => this.#remove()), this.#exchange.log)
    })
    // Where a handler of the application answers, there is no other response.
    const patience = this.#exchange.answer === null ? options.concatTimeout : Infinity
    const completion = await within(this.#context, work, patience).catch(error => {
      // Another process has found it, and puts it together.
      if (error instanceof LockTimeout) return null
      if (!this.#outlasts(error)) throw error
      this.#isAnswered = true
      background.run(() => this.#report(error), this.#exchange.log)
      return null
    }) ?? await this.#tellEarly(work)
    this.#isAnswered = true
    return completion
  }

  /** Whether HEAD and sweeps complete the upload, which is noted as known: after an error, its client would ask for another one. */
  #outlasts (error: unknown): boolean {
    return this.#isKnown && this.#exchange.answer === null && isStorageFailure(error)
  }

  async #tellEarly (work: Promise<Completion>): Promise<Completion> {
    try {
      return { upload: await this.#tell(), decision: {} }
    } catch (error) {
      this.#exchange.log.error({ err: error, id: this.#upload.id }, 'a final upload could not be noted as known to its client')
      return work
    }
  }

  /** To be called before the client is told that the upload exists. */
  #tell (): Promise<Upload> {
    this.#telling ??= this.#note().catch(error => {
      this.#telling = null
      throw error
    })
    return this.#telling
  }

  async #note (): Promise<Upload> {
    this.#gone.signal.throwIfAborted()
    checkUnanswered(this.#exchange)
    const known = await noteKnown(this.#context, this.#upload)
    this.#isKnown = true
    return known
  }

  async #compose (): Promise<Completion> {
    const exchange = this.#exchange
    try {
      const completion = await composeAlone(this.#context, this.#upload, {
        ...exchange,
        patience: this.#context.options.lockTimeout,
        signal: this.#gone.signal,
        confirm: async () => { await this.#tell() },
        conclude: async completion => exchange.answer === null ? completion : answerIfDue(this.#context, completion, exchange)
      })
      if (this.#upload.completes === 'when-told' && !isFull(completion.upload)) throw TUS_ERR_CONCAT_PART_NOT_FOUND()
      return completion
    } catch (error) {
      if (this.#isUseless(error)) await this.#remove()
      throw error
    }
  }

  /** A client that is told that its parts are not there, or something else by the application, does not come back to this one. */
  #isUseless (error: unknown): boolean {
    return !this.#isAnswered && error instanceof Error && 'code' in error && USELESS_CODES.has(String(error.code))
  }

  async #remove (): Promise<void> {
    const { locker, options } = this.#context
    try {
      await locker.withLock(this.#upload.id, options.lockTimeout, () => removeUseless(this.#context, this.#upload, 'incomplete', this.#exchange))
    } catch (error) {
      this.#exchange.log.error({ err: error, id: this.#upload.id }, 'a useless upload could not be removed')
    }
  }

  async #report (error: unknown): Promise<void> {
    const { log, request } = this.#exchange
    if (!this.#isAnswered || this.#gone.signal.aborted || isPostponed(error)) return
    log.error({ err: error, id: this.#upload.id }, 'a final upload could not be completed')
    await this.#context.hooks.runPost('postFail', log, request, this.#upload, error as Error)
  }
}

const USELESS_CODES = new Set(['TUS_ERR_CONCAT_PART_NOT_FOUND', 'TUS_ERR_REQUEST_ANSWERED'])
