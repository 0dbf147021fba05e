import type { Lease } from '../../lib/storage.js'
import { isConflict, isMissing, isUnclear } from './failures.js'
import { createName } from './names.js'
import type { Store } from './store.js'

/** What `<id>.claim` holds. */
interface Claim {
  /** Of the lease. */
  readonly token: string
  /** In ms since 1970, by the clock of who has it. */
  readonly until: number
  /** Differs at every write. */
  readonly revision: string
}

/** A lease is a blob `<id>.claim` that is only ever written over what was read: one process wins. Azure's own leases last a minute at most. */
export async function claim (store: Store, id: string, duration: number): Promise<Lease | null> {
  const token = createName()
  const found = await read(store, id)
  if (found !== null && found.claim.until > Date.now()) return null
  let etag = await write(store, id, { token, duration }, found?.etag ?? null)
  if (etag === null) return null
  return {
    async renew () {
      etag = etag && await write(store, id, { token, duration }, etag)
      return etag !== null
    },
    async release () {
      if (etag !== null) await write(store, id, { token, duration: -Infinity }, etag)
    }
  }
}

/** Resolves to the ETag, or to `null` if somebody else has written. */
async function write (store: Store, id: string, { token, duration }: { token: string, duration: number }, over: string | null): Promise<string | null> {
  const claim: Claim = { token, until: duration === -Infinity ? 0 : Date.now() + duration, revision: createName() }
  try {
    return await store.blobs.putText(store.names.claim(id), JSON.stringify(claim), over === null ? { ifNoneMatch: '*' } : { ifMatch: over })
  } catch (error) {
    if (!isConflict(error) && !isUnclear(error) && !isMissing(error)) throw error
    // The first try may have been carried out before its answer got lost.
    const found = await read(store, id)
    if (found?.claim.revision === claim.revision) return found.etag
    if (isUnclear(error)) throw error
    // A write of this lease whose answer got lost is no stranger's; what was released stays so.
    return found?.claim.token === token && found.claim.until > 0 ? write(store, id, { token, duration }, found.etag) : null
  }
}

async function read ({ blobs, names }: Store, id: string): Promise<{ claim: Claim, etag: string } | null> {
  const found = await blobs.getText(names.claim(id))
  return found && { claim: JSON.parse(found.text), etag: found.etag }
}
