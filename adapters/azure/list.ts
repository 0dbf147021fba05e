import type { BlobItem } from '@azure/storage-blob'
import type { Upload } from '../../lib/upload.js'
import { mapParallel } from '../s3/parallel.js'
import { toData, type Data } from './blobs.js'
import { describeUpload } from './entries.js'
import { parseName } from './names.js'
import type { Store } from './store.js'

/** A blob of this storage, as a list tells of it. */
export interface Listed {
  readonly id: string
  readonly kind: 'data' | 'record' | 'claim' | 'waiting'
  readonly item: BlobItem
  /** The bytes of the upload, if the list had them before; for `data`, they themselves. */
  readonly data: Data | null
}

/** Page by page. In the order of names, the bytes of an upload come before everything else of it. */
export async function * listBlobs ({ blobs, names }: Store): AsyncGenerator<Listed[]> {
  let started: Array<{ readonly id: string, readonly data: Data }> = []
  for await (const items of blobs.list(names.prefix)) {
    const page: Listed[] = []
    for (const item of items) {
      started = started.filter(({ id }) => item.name.startsWith(names.data(id)))
      const parsed = parseName(names.prefix, item.name)
      if (parsed === null) continue
      const { id, kind } = parsed
      const data = kind === 'data' ? toData(item) : started.find(upload => upload.id === id)?.data ?? null
      if (kind === 'data' && data === null) continue
      if (kind === 'data') started.push({ id, data: data! })
      page.push({ id, kind, item, data })
    }
    yield page
  }
}

export async function * list (store: Store): AsyncGenerator<Upload> {
  for await (const page of listBlobs(store)) {
    const records = page.filter(({ kind, data }) => kind === 'record' && data !== null)
    const entries = await mapParallel(records, READERS, ({ id, data }) => store.entries.load(id, data!))
    for (const entry of entries) if (entry !== null) yield describeUpload(entry)
  }
}

const READERS = 16
