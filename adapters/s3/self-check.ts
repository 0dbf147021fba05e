import type { S3Bucket } from './bucket.js'
import { getStatus, isConflict, UnsafeServer } from './failures.js'
import type { Keys } from './keys.js'

/**
 * Tries out on a small object whether the server heeds conditions, because nothing but these keeps two processes from damaging an upload.
 * Learns on the way how it wants ETags to be written.
 *
 * @throws UnsafeServer
 */
export async function checkServer (bucket: S3Bucket, keys: Keys): Promise<void> {
  const key = keys.check()
  try {
    await check(bucket, key)
  } finally {
    await bucket.delete([key]).catch(() => {})
  }
}

async function check (bucket: S3Bucket, key: string): Promise<void> {
  const etag = await bucket.put(key, '1', { ifNoneMatch: '*' }).catch(refuseUnknown)
  if (await isWritten(bucket.put(key, '2', { ifNoneMatch: '*' }))) refuse('ignores If-None-Match')
  if (await isWritten(bucket.put(key, '3', { ifMatch: '"00000000000000000000000000000000"' }))) refuse('ignores If-Match')
  if (await isWritten(bucket.put(key, '4', { ifMatch: etag }))) return
  bucket.etagStyle = 'bare'
  if (!await isWritten(bucket.put(key, '5', { ifMatch: etag }))) refuse('takes no If-Match as true')
}

async function isWritten (put: Promise<unknown>): Promise<boolean> {
  try {
    await put
    return true
  } catch (error) {
    if (isConflict(error)) return false
    return refuseUnknown(error)
  }
}

function refuseUnknown (error: unknown): never {
  if (getStatus(error) === 501) refuse('does not know conditional writes')
  throw error
}

function refuse (what: string): never {
  throw new UnsafeServer(`This S3 server ${what}, so several processes would damage each other's uploads. ` +
    "Use another server or a newer version of it; or, if there is never more than one process, set conditionalWrites: 'off'")
}
