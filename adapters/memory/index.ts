import { Readable } from 'node:stream'
import { FactoryOptions } from '../../lib/factory-options.js'
import { LengthConflict, OffsetConflict, UploadExists, UploadMissing, type Storage } from '../../lib/storage.js'
import { isFull, joinUpload, type NewUpload, type Upload } from '../../lib/upload.js'

interface Entry {
  readonly record: NewUpload
  readonly bytes: Buffer
  readonly marked: boolean
  readonly finished: boolean
  readonly processed: boolean
  readonly modifiedAt: Date
}

/**
 * Keeps uploads in memory until the process ends: the contract in its shortest form, for tests and examples.
 *
 * @param options there are none
 * @throws TypeError (`TUS_ERR_OPTION_UNKNOWN`) for any
 */
export function createMemoryStorage (options: Readonly<Record<string, never>> = {}): Storage {
  new FactoryOptions('createMemoryStorage').checkNames(options, {})
  const entries = new Map<string, Entry>()
  const leases = new Map<string, { until: number }>()
  const waiting = new Map<string, Set<string>>()

  const get = (id: string): Entry => {
    const entry = entries.get(id)
    if (!entry) throw new UploadMissing('There is no such upload')
    return entry
  }

  return {
    async create (record) {
      if (entries.has(record.id)) throw new UploadExists('There is an upload of that id')
      entries.set(record.id, { record, bytes: Buffer.alloc(0), marked: false, finished: false, processed: false, modifiedAt: record.createdAt })
    },

    async find (id) {
      const entry = entries.get(id)
      return entry ? toUpload(entry) : null
    },

    async append (id, { offset, body, keep, onProgress, progressInterval = 1000 }) {
      const { bytes } = get(id)
      if (bytes.length !== offset) throw new OffsetConflict(bytes.length)
      const parts: Uint8Array[] = [bytes]
      let reportedAt = Date.now()
      const commit = () => {
        const joined = Buffer.concat(parts)
        if (joined.length > get(id).bytes.length) entries.set(id, { ...get(id), bytes: joined, modifiedAt: new Date() })
        return joined.length
      }
      for (let batch; (batch = await body.next()) !== null;) {
        parts.push(Buffer.concat(batch))
        if (!onProgress || keep !== 'prefix' || Date.now() - reportedAt < progressInterval) continue
        reportedAt = Date.now()
        onProgress(commit())
      }
      return commit()
    },

    async setLength (id, length) {
      const entry = get(id)
      if (entry.record.length === length) return
      const fits = length === null ? entry.record.length !== entry.bytes.length : entry.record.length === null && length >= entry.bytes.length
      if (!fits) throw new LengthConflict('The upload has another length')
      entries.set(id, { ...entry, record: { ...entry.record, length } })
    },

    async complete (id) {
      entries.set(id, { ...get(id), marked: true })
    },

    async remove (id) {
      entries.delete(id)
      waiting.delete(id)
    },

    async update (id, change) {
      const entry = entries.get(id)
      if (!entry) return null
      const changes = change(toUpload(entry))
      if (changes) {
        const { finished = entry.finished, processed = entry.processed, ...rest } = changes
        entries.set(id, { ...entry, finished, processed, record: { ...entry.record, ...rest } })
      }
      return toUpload(get(id))
    },

    async read (id, { start, end }) {
      const entry = entries.get(id)
      return entry ? Readable.from([entry.bytes.subarray(start, end + 1)]) : null
    },

    async concatenate (id, parts) {
      const entry = get(id)
      const bytes = Buffer.concat(parts.map(part => get(part).bytes))
      entries.set(id, { ...entry, bytes, modifiedAt: new Date() })
      return bytes.length
    },

    async addWaiting (partial, final) {
      waiting.set(partial, (waiting.get(partial) ?? new Set()).add(final))
    },

    async findWaiting (partial) {
      return [...waiting.get(partial) ?? []]
    },

    async claim (id, duration) {
      if ((leases.get(id)?.until ?? 0) > Date.now()) return null
      const lease = { until: Date.now() + duration }
      leases.set(id, lease)
      return {
        async renew () {
          lease.until = Date.now() + duration
          return leases.get(id) === lease
        },
        async release () {
          if (leases.get(id) === lease) leases.delete(id)
        }
      }
    },

    async * list () {
      for (const entry of entries.values()) yield toUpload(entry)
    }
  }
}

function toUpload ({ record, bytes, marked, finished, processed, modifiedAt }: Entry): Upload {
  const offset = bytes.length
  const complete = marked || (isFull({ length: record.length, offset }) && record.completes === 'at-length')
  return joinUpload(record, { offset, complete, finished, processed, modifiedAt })
}
