/**
 * What a digest thread runs, as text: a thread that gets its program this way starts in any bundle and below any loader, where a file beside this one
 * might be missing or be TypeScript.
 *
 * It is told `['open', id, algorithms]`, `['update', id, slot, length]`, `['finish', id]` and `['close', id]`. It says `['ready']` once, `['free', slot]` for each slot that
 * it has read, and `['found', id, digests]`, with these in Base64 and in the order of the algorithms.
 */
export const DIGEST_PROGRAM = `'use strict'
const { createHash } = require('node:crypto')
const { parentPort, workerData: slots } = require('node:worker_threads')
const { crc32 } = require('node:zlib')

// One that was closed in the middle may still be asked for.
const bodies = new Map()

const tasks = {
  open (id, algorithms) {
    bodies.set(id, algorithms.map(algorithm => algorithm === 'crc32' ? createCrc32() : createHash(algorithm)))
  },
  update (id, slot, length) {
    for (const hash of bodies.get(id) ?? []) hash.update(slots[slot].subarray(0, length))
    parentPort.postMessage(['free', slot])
  },
  finish (id) {
    parentPort.postMessage(['found', id, (bodies.get(id) ?? []).map(hash => hash.digest('base64'))])
  },
  close (id) {
    bodies.delete(id)
  }
}

function createCrc32 () {
  let value = 0
  return {
    update (bytes) {
      value = crc32(bytes, value)
    },
    digest (encoding) {
      const digest = Buffer.alloc(4)
      digest.writeUInt32BE(value)
      return digest.toString(encoding)
    }
  }
}

parentPort.on('message', ([task, ...facts]) => tasks[task](...facts))
parentPort.postMessage(['ready'])
`
