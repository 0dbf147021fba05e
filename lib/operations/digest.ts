import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ChecksumAlgorithm, Digests } from '../checksum.js'
import type { Context } from '../context.js'
import { TUS_ERR_DIGEST_MISMATCH } from '../errors.js'
import { tell } from '../lifecycle.js'
import type { Purpose, Upload } from '../upload.js'
import type { Cause } from './complete.js'
import { openDownload } from './download.js'
import { removeSame, updateSame } from './identity.js'

/**
 * Reads a full upload back, compares it with the digests that its client gave, and computes those that it asked for. Until then, nobody else may read it.
 * Resolves to the upload with what was found. One that is not what it should be is removed.
 *
 * The caller holds the lock.
 *
 * @throws TUS_ERR_DIGEST_MISMATCH
 */
export async function verifyDigests (context: Context, upload: Upload, cause: Cause): Promise<Upload> {
  const { purpose } = upload
  const algorithms = Object.keys(purpose?.digests ?? {}) as ChecksumAlgorithm[]
  if (purpose === undefined || purpose.verified === true || algorithms.length === 0) return upload
  const digests = await computeDigests(context, upload, algorithms)
  const wrong = algorithms.find(algorithm => purpose.digests[algorithm] !== null && purpose.digests[algorithm] !== digests[algorithm])
  if (wrong === undefined) return { ...upload, purpose: { ...purpose, digests, verified: true } }
  await removeWrong(context, upload, cause)
  throw TUS_ERR_DIGEST_MISMATCH({ algorithm: wrong })
}

/** Notes that a full upload is what it should be, so that it is not read again as long as hooks refuse it. */
export async function keepVerified (context: Context, upload: Upload): Promise<void> {
  const { digests = {}, verified } = upload.purpose ?? {}
  await updateSame(context, upload, ({ purpose: present }) => {
    // Another process may have got a digest that this one does not know.
    const isKnown = present !== undefined && Object.keys(present.digests).every(algorithm => algorithm in digests)
    return isKnown ? { purpose: { ...present, digests, verified } } : null
  })
}

async function computeDigests (context: Context, upload: Upload, algorithms: readonly ChecksumAlgorithm[]): Promise<Purpose['digests']> {
  const digests = await context.digestPool.open(algorithms, upload.offset)
  let size = 0
  try {
    for await (const chunk of await openDownload(context, upload, { start: 0, end: upload.offset - 1 })) {
      await addUp(digests, chunk)
      size += chunk.length
    }
    // A storage that fails is no wrong digest, by which the upload would be lost.
    if (size !== upload.offset) throw new Error(`Only ${size} bytes of ${upload.offset} could be read`)
    return Object.fromEntries(await digests.finish())
  } finally {
    digests.close()
  }
}

/** Others have their turn in between, however large the chunk is and wherever it is added up. */
async function addUp (digests: Digests, chunk: Buffer): Promise<void> {
  for (let at = 0; at < chunk.length; at += SLICE) {
    await digests.update([chunk.subarray(at, at + SLICE)])
    await nextTurn()
  }
}

async function removeWrong (context: Context, upload: Upload, cause: Cause): Promise<void> {
  await removeSame(context, upload)
  cause.see?.(null)
  tell('terminated', upload, cause, 'wrong-digest')
  await context.hooks.runPost('postTerminate', cause.log, cause.request, upload)
}

/** In bytes. */
const SLICE = 256 * 1024
