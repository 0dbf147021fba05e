import * as fs from 'node:fs'
import { StorageFull } from '../../lib/storage.js'
import { asStorageError, isReadOnly } from './failure.js'

/**
 * Whether a sync takes no more than a system call, as on a memory filesystem. False where nothing can be written: what is there can
 * be read all the same.
 *
 * @param path for a file to try it on, which is removed again
 */
export function measureSync (path: string): boolean {
  try {
    return measureSyncs(path) < 0.1
  } catch (error) {
    const failure = asStorageError(error)
    if (failure instanceof StorageFull || isReadOnly(failure)) return false
    throw failure
  }
}

/** In ms. */
function measureSyncs (path: string): number {
  const fd = fs.openSync(path, 'wx')
  try {
    const times = [1, 2, 3, 4, 5].map(() => {
      fs.writeSync(fd, 'x')
      const start = performance.now()
      fs.fdatasyncSync(fd)
      return performance.now() - start
    })
    // The middle one: a busy machine is slow now and then.
    return times.sort((a, b) => a - b)[2]!
  } finally {
    fs.closeSync(fd)
    fs.rmSync(path)
  }
}
