import type { Lease } from '../../lib/storage.js'
import { isConflict, isMissing, isUnclear } from './failures.js'
import { createName } from './names.js'
import type { Store } from './store.js'

/** What `<id>.claim` holds. */
interface Claim {
  /** In ms since 1970, by the clock of who has it. */
  readonly until: number
  /** Differs at every write. */
  readonly revision: string
}

/** A lease is a blob `<id>.claim` that is only ever written over what was read: one process wins. Azure's own leases last a minute at most. */
export async function claim (store: Store, id: string, duration: number): Promise<Lease | null> {
  const found = await read(store, id)
  if (found !== null && found.claim.until > Date.now()) return null
  let etag = await write(store, id, Date.now() + duration, found?.etag ?? null)
  if (etag === null) return null
  return {
    async renew () {
      etag = etag && await write(store, id, Date.now() + duration, etag)
      return etag !== null
    },
    async release () {
      if (etag !== null) await write(store, id, 0, etag)
    }
  }
}

/** Resolves to the ETag, or to `null` if somebody else has written. */
async function write (store: Store, id: string, until: number, over: string | null): Promise<string | null> {
  const claim: Claim = { until, revision: createName() }
  try {
    return await store.blobs.putText(store.names.claim(id), JSON.stringify(claim), over === null ? { ifNoneMatch: '*' } : { ifMatch: over })
  } catch (error) {
    if (!isConflict(error) && !isUnclear(error) && !isMissing(error)) throw error
    // The first try may have been carried out before its answer got lost.
    const found = await read(store, id)
    if (found?.claim.revision === claim.revision) return found.etag
    if (isUnclear(error)) throw error
    return null
  }
}

async function read ({ blobs, names }: Store, id: string): Promise<{ claim: Claim, etag: string } | null> {
  const found = await blobs.getText(names.claim(id))
  return found && { claim: JSON.parse(found.text), etag: found.etag }
}
