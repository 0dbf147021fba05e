import type { MemoryBudget } from '../s3/budget.js'
import type { Blobs } from './blobs.js'
import type { Entries } from './entries.js'
import type { Names } from './names.js'
import type { ResolvedAzureOptions } from './options.js'

/** What every operation of this storage works with. */
export interface Store {
  readonly blobs: Blobs
  readonly names: Names
  readonly options: ResolvedAzureOptions
  readonly entries: Entries
  readonly budget: MemoryBudget
}
