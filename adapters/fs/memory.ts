import type { OpenUpload } from './open-upload.js'

type Known = Pick<OpenUpload, 'durable' | 'modifiedAt'> & { readonly createdAt: number }

/**
 * How much of the uploads that were in use was durable, as far back as a bounded memory reaches. A file of that length need not be synced to be
 * counted, and a device that has turned read-only could not do that.
 */
export class Memory {
  readonly #known = new Map<string, Known>()

  add ({ id, record, durable, modifiedAt }: OpenUpload): void {
    this.#known.delete(id)
    this.#known.set(id, { durable, modifiedAt, createdAt: record.upload.createdAt.getTime() })
    if (this.#known.size > MOST) this.#known.delete(this.#known.keys().next().value!)
  }

  forget (id: string): void {
    this.#known.delete(id)
  }

  /** Gives an upload back what is known of it, unless that was another one of the same id. */
  recall (entry: OpenUpload): OpenUpload {
    const known = this.#known.get(entry.id)
    if (known?.createdAt !== entry.record.upload.createdAt.getTime()) return entry
    entry.durable = known.durable
    entry.modifiedAt = known.modifiedAt
    return entry
  }
}

const MOST = 10_000
