import { UploadMissing } from '../../lib/storage.js'
import { isCreatedAt } from '../../lib/upload.js'
import type { OpenUpload } from './open-upload.js'
import type { Store } from './store.js'

/** The upload of that id, if it is the one that was created at that time. @throws UploadMissing */
export async function load (store: Store, id: string, createdAt: Date | undefined): Promise<OpenUpload> {
  return check(await store.uploads.load(id), createdAt)
}

/** @throws UploadMissing */
export function check (upload: OpenUpload | null, createdAt: Date | undefined): OpenUpload {
  if (!isMeant(upload, createdAt)) throw new UploadMissing('There is no such upload')
  return upload
}

/** Whether there is an upload, and it is the one that was created at that time. */
export function isMeant (upload: OpenUpload | null, createdAt: Date | undefined): upload is OpenUpload {
  return upload !== null && isCreatedAt(upload.record.upload, createdAt)
}
