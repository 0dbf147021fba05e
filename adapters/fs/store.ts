import type { Locker } from '../../lib/locker.js'
import type { Catalog } from './catalog/catalog.js'
import type { News } from './catalog/news.js'
import type { Directory } from './directory.js'
import type { Files } from './files.js'
import type { Journal } from './journal/journal.js'
import type { OpenUploads } from './open-uploads.js'
import type { Paths } from './paths.js'

/** What the operations of this adapter share. */
export interface Store extends BareStore {
  /** `null`: there is no index. */
  readonly catalog: Catalog | null
}

/** The same without what is made of it. */
export interface BareStore {
  readonly paths: Paths
  readonly files: Files
  readonly directory: Directory
  readonly uploads: OpenUploads
  /** `null` for a process that syncs each file. */
  readonly journal: Journal | null
  readonly locker: Locker & { close?(): Promise<void>, tidy?(before: Date): Promise<void> }
  /** Where the index learns what happens; `null` without an index. */
  readonly news: News | null
  /** Ids whose files are being made: what is not whole yet is not yet remains. */
  readonly creating: Set<string>
}
