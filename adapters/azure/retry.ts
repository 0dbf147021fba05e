import { UploadMissing } from '../../lib/storage.js'
import { Superseded } from './failures.js'

/** Does work again, from the start, as long as another process comes first. */
export async function retry<Result> (work: () => Promise<Result>, onMissing: (error: unknown) => Result): Promise<Result> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (error instanceof UploadMissing) return onMissing(error)
      if (!(error instanceof Superseded) || attempt === MOST_ATTEMPTS) throw error
    }
  }
}

/** For work that needs the upload. */
export function rethrow (error: unknown): never {
  throw error
}

const MOST_ATTEMPTS = 5
