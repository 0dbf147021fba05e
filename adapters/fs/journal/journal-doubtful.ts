import { StorageUnavailable } from '../../../lib/storage.js'

/**
 * Nobody knows what a log tells, and it can't be cut. What was written to the file meanwhile stays there and counts, as it does when a process dies
 * before it answers: a log must tell no bytes other than those of the file.
 */
export class JournalDoubtful extends StorageUnavailable {}
