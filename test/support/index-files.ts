import { readdirSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import type { Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import type { ListHint, Storage } from '../../lib/storage.js'

/** Where the index of a directory of uploads is. */
export const getDatabasePath = (directory: string): string => join(directory, '.index/sqlite/index.sqlite')

export function openDatabase (directory: string): DatabaseSync {
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
  const database = new DatabaseSync(getDatabasePath(directory))
  database.exec('PRAGMA busy_timeout = 5000')
  return database
}

/**
 * Lets everything that was announced be long ago, and all bytes be there for a while, and all the directory be compared already, so that only the
 * journal can tell of news.
 */
export function age (directory: string): void {
  const then = new Date(Date.now() - 20_000)
  for (const name of readdirSync(directory)) if (!name.includes('.')) utimesSync(join(directory, name), then, then)
  const database = openDatabase(directory)
  database.exec('UPDATE uploads SET since = 0 WHERE "group" = 0; UPDATE times SET time = time - 10000 WHERE name = \'created\'')
  database.close()
}

/** A storage on a directory, closed at the end of the test. */
export async function openStorage (t: Test, directory: string, options: { index?: boolean } = { index: true }): Promise<Storage> {
  const storage = createFsStorage({ directory, durability: 'none', ...options })
  await storage.open?.()
  t.teardown(async () => { await storage.close?.() })
  return storage
}

export async function listIds (storage: Storage, hint?: ListHint): Promise<string[]> {
  const ids: string[] = []
  for await (const { id } of storage.list!(hint)) ids.push(id)
  return ids.sort()
}

/** Lets what was done to the index be `duration` ms longer ago. */
export function putBack (directory: string, duration = 10_000): void {
  const database = openDatabase(directory)
  database.prepare('UPDATE times SET time = time - ?').run(duration)
  database.close()
}
