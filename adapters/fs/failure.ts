import { StorageFull, StorageUnavailable } from '../../lib/storage.js'

/** Says in the words of the contract what keeps the device from working; any other error stays as it is. */
export function asStorageError (error: unknown): unknown {
  if (isCode(error, ...FULL)) return new StorageFull('The device has no room', { cause: error })
  if (isCode(error, ...UNAVAILABLE)) return new StorageUnavailable('The device can not be used at present', { cause: error })
  return error
}

/** For `catch`: throws {@link asStorageError}. */
export function throwStorageError (error: unknown): never {
  throw asStorageError(error)
}

/** Whether all descriptors that this process or this machine may have are in use. */
export function isExhausted (error: unknown): boolean {
  return isCode(error, 'EMFILE', 'ENFILE')
}

export function isReadOnly (error: unknown): boolean {
  return error instanceof StorageUnavailable && isCode(error.cause, 'EROFS')
}

/** @throws the error, unless it says that a file is not there */
export function nullIfMissing (error: unknown): null {
  if (isCode(error, 'ENOENT')) return null
  throw error
}

export function isCode (error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(error.code as string)
}

/** For what is of no consequence: the reason stands where it is used. */
export function ignore (): void {}

const FULL = ['ENOSPC', 'EDQUOT', 'EFBIG']
/** Read-only, out of descriptors or memory, or away; the last are those of network file systems. */
const UNAVAILABLE = ['EROFS', 'EMFILE', 'ENFILE', 'ENOMEM', 'ENXIO', 'ENODEV', 'ESTALE', 'ENOTCONN', 'ETIMEDOUT', 'EHOSTDOWN', 'EHOSTUNREACH']
