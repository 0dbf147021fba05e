import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { LocksUnsupported } from '../../../lib/locker.js'

/** Where the sockets of the processes are. */
export interface Addresses {
  get(name: string): string
  close(): void
}

/**
 * A path of the directory as a rule. Systems take only about a hundred bytes: Linux has a shorter way to a directory that is open.
 *
 * @param longest length of the longest name, in bytes
 * @throws LocksUnsupported for a path that is too long
 */
export function createAddresses (directory: string, longest: number): Addresses {
  if (process.platform === 'win32') return { get: name => `\\\\.\\pipe\\fastify-tus-${name}`, close () {} }
  if (Buffer.byteLength(directory) + 1 + longest <= LONGEST_ADDRESS) return { get: name => join(directory, name), close () {} }
  if (process.platform !== 'linux') throw new LocksUnsupported(`The path of the directory is too long for the sockets by which processes exclude each other: ${directory}`)
  const fd = openSync(directory, 'r')
  return { get: name => `/proc/self/fd/${fd}/${name}`, close: () => closeSync(fd) }
}

/** `sun_path` of macOS, without its last byte. Linux has 4 more. */
const LONGEST_ADDRESS = 103
