import { AsyncLocalStorage } from 'node:async_hooks'
import { isCreatedAt, type Upload, type UploadRef } from './upload.js'

/** The look of `preFinish` hooks at one upload. */
export interface Examination {
  readonly upload: Upload
  /** Whether they are still at it. */
  isRunning: boolean
}

/**
 * The uploads that `preFinish` hooks look at. All bytes are there, and nobody but those hooks may read them yet: what they call, directly or
 * later, until they are done.
 */
export class Examinations {
  readonly #running = new AsyncLocalStorage<Examination>()

  /** Lets `look`, and what it calls, read the upload. */
  async run<Result> (upload: Upload, look: () => Promise<Result>): Promise<Result> {
    const examination: Examination = { upload, isRunning: true }
    try {
      return await this.#running.run(examination, look)
    } finally {
      examination.isRunning = false
    }
  }

  /** That of the caller; `null` if it was not called by hooks that look at this upload. */
  find ({ id, createdAt }: UploadRef): Examination | null {
    const examination = this.#running.getStore()
    return examination?.upload.id === id && isCreatedAt(examination.upload, createdAt) ? examination : null
  }
}
