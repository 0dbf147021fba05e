import { LengthConflict, type UploadChange } from '../../lib/storage.js'
import type { Upload } from '../../lib/upload.js'
import { describeUpload } from './entries.js'
import { rethrow, retry } from './retry.js'
import type { Store } from './store.js'

export async function setLength (store: Store, id: string, length: number | null, createdAt?: Date): Promise<void> {
  const { entries } = store
  await retry(async () => {
    const entry = await entries.loadMeant(id, createdAt)
    const { state, offset } = entry
    if (state.length === length) return
    const fits = length === null ? offset !== state.length : state.length === null && length >= offset
    if (!fits) throw new LengthConflict('The upload has another length')
    await entries.commitState(entry, { length })
  }, rethrow)
}

export async function complete ({ entries }: Store, id: string, createdAt?: Date): Promise<void> {
  await retry(async () => {
    const entry = await entries.loadMeant(id, createdAt)
    if (!describeUpload(entry).complete) await entries.commitState(entry, { complete: true })
  }, rethrow)
}

export async function update ({ entries }: Store, id: string, change: (upload: Upload) => UploadChange | null): Promise<Upload | null> {
  const entry = await entries.note(id, (upload, record) => {
    const changes = change(upload)
    if (changes === null) return null
    const { finished = record.finished, processed = record.processed, ...rest } = changes
    return { finished, processed, upload: { ...record.upload, ...rest } }
  })
  return entry && describeUpload(entry)
}
