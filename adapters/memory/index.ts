import { Readable } from 'node:stream'
import { FactoryOptions } from '../../lib/factory-options.js'
import { LengthConflict, OffsetConflict, UploadExists, UploadMissing, type Storage } from '../../lib/storage.js'
import { isCreatedAt, isFull, joinUpload, type NewUpload, type Upload } from '../../lib/upload.js'

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

  const find = (id: string, createdAt?: Date): Entry | null => {
    const entry = entries.get(id)
    return entry && isCreatedAt(entry.record, createdAt) ? entry : null
  }

  const get = (id: string, createdAt?: Date): Entry => {
    const entry = find(id, createdAt)
    if (!entry) throw new UploadMissing('There is no such upload')
    return entry
  }

  return {
    async create (record) {
      if (entries.has(record.id)) throw new UploadExists('There is an upload of that id')
      entries.set(record.id, { record, bytes: Buffer.alloc(0), marked: false, finished: false, processed: false, modifiedAt: record.createdAt })
    },

    async find (id) {
      const entry = find(id)
      return entry && toUpload(entry)
    },

    async append (id, { createdAt, offset, body, keep, onProgress, progressInterval = 1000 }) {
      const { bytes, record } = get(id, createdAt)
      if (bytes.length !== offset) throw new OffsetConflict(bytes.length)
      const parts: Uint8Array[] = [bytes]
      let reportedAt = Date.now()
      const commit = () => {
        const joined = Buffer.concat(parts)
        // Whoever removed it meanwhile may have made room for another.
        const entry = get(id, record.createdAt)
        if (joined.length > entry.bytes.length) entries.set(id, { ...entry, bytes: joined, modifiedAt: new Date() })
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

    async setLength (id, length, createdAt) {
      const entry = get(id, createdAt)
      if (entry.record.length === length) return
      const fits = length === null ? entry.record.length !== entry.bytes.length : entry.record.length === null && length >= entry.bytes.length
      if (!fits) throw new LengthConflict('The upload has another length')
      entries.set(id, { ...entry, record: { ...entry.record, length } })
    },

    async complete (id, createdAt) {
      entries.set(id, { ...get(id, createdAt), marked: true })
    },

    async remove (id, createdAt) {
      if (!find(id, createdAt)) return
      entries.delete(id)
      leases.delete(id)
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

    async read (id, { start, end }, createdAt) {
      const entry = find(id, createdAt)
      return entry ? Readable.from([entry.bytes.subarray(start, end + 1)]) : null
    },

    async concatenate (id, parts, created, signal) {
      signal?.throwIfAborted()
      const entry = get(id, created?.final)
      const bytes = Buffer.concat(parts.map((part, index) => get(part, created?.parts[index]).bytes))
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
