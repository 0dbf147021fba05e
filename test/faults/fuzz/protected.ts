import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../../support/waiting.js'
import type { Keeper } from './keeper.js'
import { CONTENT } from './slot.js'

/** An upload that no request of the fuzzer may change, though it knows the id. */
export interface Protected {
  readonly id: string
  readonly offset: number
  /** Whose words created it. */
  readonly protocol: 'tus' | 'ietf'
  readonly seen: string
  readonly stored: string
}

/** One of each kind. */
export async function createProtected (keeper: Keeper, directory: string, tusOnly: boolean): Promise<Protected[]> {
  const uploads: Array<readonly [id: string, offset: number]> = []
  const add = async (headers: Readonly<Record<string, string>>, offset: number) => {
    const id = await keeper.create({ 'upload-metadata': 'filename YS5wbmc=,filetype aW1hZ2UvcG5n', ...headers }, offset > 0 ? CONTENT.subarray(0, offset) : undefined)
    uploads.push([id, offset])
    return id
  }
  await add({ 'upload-length': '5000' }, 0)
  await add({ 'upload-length': '5000' }, 300)
  await add({ 'upload-defer-length': '1' }, 11)
  await add({ 'upload-length': '200' }, 200)
  const whole = await add({ 'upload-length': '150', 'upload-concat': 'partial' }, 150)
  const begun = await add({ 'upload-length': '900', 'upload-concat': 'partial' }, 70)
  uploads.push([await keeper.create({ 'upload-concat': `final;/files/${whole} /files/${whole}` }), 300])
  uploads.push([await keeper.create({ 'upload-concat': `final;/files/${whole} /files/${begun}` }), 0])
  const known = uploads.length
  if (!tusOnly) {
    for (const { headers, offset } of DRAFTS) uploads.push([await keeper.createDraft(headers, CONTENT.subarray(0, offset)), offset])
  }
  return Promise.all(uploads.map(async ([id, offset], at) => ({ id, offset, protocol: at < known ? 'tus' : 'ietf', seen: await keeper.inspect(id), stored: readStored(directory, id) })))
}

/** What differs from the beginning; `null` if nothing does. A request that is about to be refused may have noted something for this long. */
export async function findChange (keeper: Keeper, directory: string, { id, seen, stored }: Protected): Promise<string | null> {
  await until('it is as it was', () => readStored(directory, id) === stored).catch(() => {})
  const now = readStored(directory, id)
  if (now !== stored) return `the files of the protected upload ${id} changed:\n${stored}\n${now}`
  const told = await keeper.inspect(id)
  return told === seen ? null : `HEAD of the protected upload ${id} changed: ${seen} ${told}`
}

/** Record and bytes of an upload as they are on the disk. */
export function readStored (directory: string, id: string): string {
  return JSON.stringify(['', '.json', '.claim'].map(ending => read(join(directory, id + ending))))
}

/** The uploads that are there, by their records; and every other name. */
export function listDirectory (directory: string): string[] {
  return readdirSync(directory).sort()
}

function read (path: string): string | null {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return null
  }
}

const DRAFTS = [
  { headers: { 'upload-complete': '?0', 'upload-length': '5000' }, offset: 0 },
  { headers: { 'upload-complete': '?0' }, offset: 300 },
  { headers: { 'upload-complete': '?0', 'upload-length': '5000', 'want-repr-digest': 'sha-256=1' }, offset: 200 },
  { headers: { 'upload-complete': '?1' }, offset: 150 }
]
