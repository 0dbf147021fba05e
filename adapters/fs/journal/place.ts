import type { Locker } from '../../../lib/locker.js'
import type { Directory } from '../directory.js'
import type { Files } from '../files.js'
import type { Paths } from '../paths.js'

/** What those share who work on the journal of a directory. */
export interface Place {
  readonly files: Files
  readonly paths: Paths
  readonly directory: Directory
  readonly locker: Locker
}

/** The lock of those who end logs. */
export const JOURNAL = '.journal'
