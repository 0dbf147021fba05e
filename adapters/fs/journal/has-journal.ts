import type { Store } from '../store.js'

/** Whether some process may make uploads of the directory durable by a journal. */
export async function hasJournal ({ journal, files, paths }: Pick<Store, 'journal' | 'files' | 'paths'>): Promise<boolean> {
  return journal !== null || await files.stat(paths.journal) !== null
}
