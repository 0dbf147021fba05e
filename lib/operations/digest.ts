import { createHash } from 'node:crypto'
import type { Context } from '../context.js'
import { TUS_ERR_DIGEST_MISMATCH } from '../errors.js'
import type { Purpose, Upload } from '../upload.js'
import type { Cause } from './complete.js'
import { openDownload } from './download.js'
import { removeSame } from './identity.js'

/**
 * Reads a complete upload back, compares it with the digests that its client gave, and computes those that it asked for. An upload that is not what
 * it should be is removed.
 *
 * @throws TUS_ERR_DIGEST_MISMATCH
 */
export async function settleDigests (context: Context, upload: Upload, cause: Cause): Promise<Purpose | undefined> {
  const { purpose } = upload
  const algorithms = Object.keys(purpose?.digests ?? {})
  if (purpose === undefined || algorithms.length === 0) return purpose
  const digests = await computeDigests(context, upload, algorithms)
  const wrong = algorithms.find(algorithm => purpose.digests[algorithm] !== null && purpose.digests[algorithm] !== digests[algorithm])
  if (wrong === undefined) return { ...purpose, digests }
  await removeSame(context, upload)
  cause.see?.(null)
  await context.hooks.runPost('postTerminate', cause.log, cause.request, upload)
  throw TUS_ERR_DIGEST_MISMATCH({ algorithm: wrong })
}

async function computeDigests (context: Context, upload: Upload, algorithms: readonly string[]): Promise<Record<string, string>> {
  const hashes = algorithms.map(algorithm => [algorithm, createHash(algorithm)] as const)
  for await (const chunk of await openDownload(context, upload, { start: 0, end: upload.offset - 1 })) {
    for (const [, hash] of hashes) hash.update(chunk)
  }
  return Object.fromEntries(hashes.map(([algorithm, hash]) => [algorithm, hash.digest('base64')]))
}
