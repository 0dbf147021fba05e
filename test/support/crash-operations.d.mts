import type { Storage } from '../../lib/storage.js'

export interface Operation {
  readonly name: string
  readonly id?: string
  readonly [detail: string]: unknown
}

export function makeContent (size: number): Buffer
export function perform (storage: Storage, operation: Operation, openOther?: (() => Storage) | undefined, directory?: string): Promise<unknown>
