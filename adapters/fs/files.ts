import * as fs from 'node:fs'
import { promisify } from 'node:util'
import { asStorageError, ignore, isCode, isExhausted, nullIfMissing, throwStorageError } from './failure.js'
import { Pace } from './pace.js'

export { isCode, nullIfMissing }

/**
 * The file operations of this adapter, each synchronous or through the thread pool as {@link Pace} advises.
 *
 * Every one may return its value or a promise of it: `await` both. A device that can't work is told in the words of the contract.
 */
export class Files {
  readonly durability: 'fsync' | 'none'
  /** Permissions of the files that it creates. */
  readonly mode: number
  readonly #metadata: Pace
  readonly #sync: Pace
  /** Called when there are too many open files. Closes some, if it can, and tells whether it did. */
  onExhausted: () => Promise<boolean> = async () => false

  /**
   * @param metadata for small operations
   * @param sync for syncs, of which only a memory filesystem makes short work
   * @param mode of the files that are created
   */
  constructor (durability: 'fsync' | 'none', metadata: Pace, sync: Pace, mode = 0o640) {
    this.durability = durability
    this.mode = mode
    this.#metadata = metadata
    this.#sync = sync
  }

  /** The names in a small folder. */
  list (path: string) {
    return this.run(() => fs.readdirSync(path), () => fs.promises.readdir(path))
  }

  /** Opens for reading and writing. */
  open (path: string) {
    return this.run(() => fs.openSync(path, 'r+'), () => open(path, 'r+'))
  }

  openToRead (path: string) {
    return this.run(() => fs.openSync(path, 'r'), () => open(path, 'r'))
  }

  /** Creates a file and opens it for reading and writing; `null` if there is one. */
  create (path: string): number | null | Promise<number | null> {
    return this.run(() => createNow(path, this.mode), () => open(path, 'wx+', this.mode).catch(nullIfPresent))
  }

  async createOrThrow (path: string): Promise<number> {
    const fd = await this.create(path)
    if (fd === null) throw new Error('A temporary file is in the way')
    return fd
  }

  /** Copies a file into an open one from byte `position` on, and resolves to the byte behind it. */
  async copyInto (fd: number, path: string, position: number, signal?: AbortSignal): Promise<number> {
    let end = position
    const from = await this.openToRead(path)
    for await (const chunk of fs.createReadStream(path, { fd: from, highWaterMark: COPY })) {
      signal?.throwIfAborted()
      await this.write(fd, [chunk], chunk.length, end)
      end += chunk.length
    }
    return end
  }

  close (fd: number) {
    return this.run(() => fs.closeSync(fd), () => close(fd))
  }

  /** Closes what was synced before, or does not matter any more: one that can't be closed is lost, and nothing depends on it. */
  release (fd: number): Promise<void> | void {
    return this.close(fd)?.catch(ignore)
  }

  /** `null` if there is no such file. */
  stat (path: string): fs.Stats | null | Promise<fs.Stats | null> {
    return this.run(() => statNow(path), () => stat(path).catch(nullIfNoFile))
  }

  statOpen (fd: number) {
    return this.run(() => fs.fstatSync(fd), () => fstat(fd))
  }

  /**
   * `null` if there is no such file.
   *
   * @param start what the caller's texts begin with: of one that does not, which may be of any size, only the beginning is read
   */
  readText (path: string, start = ''): string | null | Promise<string | null> {
    return this.run(() => readTextNow(path, start), () => readText(path, start).catch(nullIfNoFile))
  }

  /** Writes a small text to the start of an open file. */
  writeText (fd: number, text: string): Promise<void> | void {
    const bytes = Buffer.from(text)
    return this.write(fd, [bytes], bytes.length, 0)
  }

  rename (from: string, to: string) {
    return this.run(() => fs.renameSync(from, to), () => fs.promises.rename(from, to))
  }

  /** Removes a file; one that is not there is no error. */
  remove (path: string) {
    return this.run(() => fs.rmSync(path, { force: true }), () => fs.promises.rm(path, { force: true }))
  }

  /** Removes what is of no use, if that is possible; what stays is left to the sweeper. */
  async discard (path: string): Promise<void> {
    try {
      await this.remove(path)
    } catch {}
  }

  /** Whether an open file holds a small content from byte `position` on. */
  holds (fd: number, content: Uint8Array, position: number): boolean | Promise<boolean> {
    const found = Buffer.alloc(content.byteLength)
    const judge = (read: number) => read === found.length && found.equals(content)
    return this.run(() => judge(fs.readSync(fd, found, 0, found.length, position)), async () => judge((await read(fd, found, 0, found.length, position)).bytesRead))
  }

  truncate (fd: number, length: number) {
    return this.run(() => fs.ftruncateSync(fd, length), () => ftruncate(fd, length))
  }

  /** Writes all of the buffers, one behind the other, from byte `position` on. */
  write (fd: number, buffers: readonly Uint8Array[], size: number, position: number): Promise<void> | void {
    const written = this.#writeSome(fd, buffers, size, position)
    if (written !== size) return this.#writeRest(written, fd, buffers, size, position)
  }

  async #writeRest (first: number | Promise<number>, fd: number, buffers: readonly Uint8Array[], size: number, position: number): Promise<void> {
    let rest = buffers
    for (let written = await first, left = size - written, end = position + written; left > 0; left -= written, end += written) {
      rest = skip(rest, written)
      written = await this.#writeSome(fd, rest, left, end)
    }
  }

  #writeSome (fd: number, buffers: readonly Uint8Array[], size: number, position: number): number | Promise<number> {
    const quick = size <= SMALL && this.#metadata.isQuick
    return this.#call(quick, this.#metadata, () => fs.writevSync(fd, buffers, position), () => writev(fd, buffers, position))
  }

  /** Makes the bytes and the length of an open file durable, if that is asked for. */
  sync (fd: number): void | Promise<void> {
    if (this.durability === 'none') return
    return this.#call(this.#sync.isQuick, this.#sync, () => fs.fdatasyncSync(fd), () => fdatasync(fd))
  }

  /** As {@link sync}, for a file that is not open, and that nobody may write to. */
  async syncPath (path: string): Promise<void> {
    const fd = await this.openToRead(path)
    try {
      await this.sync(fd)
    } finally {
      await this.release(fd)
    }
  }

  /** Makes the entries of an open directory durable; some file systems do that only at a full sync. */
  syncDirectory (fd: number): void | Promise<void> {
    return this.#call(this.#sync.isQuick, this.#sync, () => fs.fsyncSync(fd), () => fsync(fd))
  }

  /** Runs a small operation, synchronously or not. */
  run<Result> (now: () => Result, later: () => Promise<Result>): Result | Promise<Result> {
    return this.#call(this.#metadata.isQuick, this.#metadata, now, later)
  }

  #call<Result> (quick: boolean, pace: Pace, now: () => Result, later: () => Promise<Result>): Result | Promise<Result> {
    if (!quick) return later().catch(error => this.#retry(error, later))
    try {
      return pace.measure(now)
    } catch (error) {
      return this.#retry(error, later)
    }
  }

  async #retry<Result> (error: unknown, again: () => Promise<Result>): Promise<Result> {
    if (!isExhausted(error) || !await this.onExhausted()) throw asStorageError(error)
    return again().catch(throwStorageError)
  }
}

function skip (buffers: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const rest = [...buffers]
  let left = bytes
  while (rest[0] && left >= rest[0].byteLength) left -= rest.shift()!.byteLength
  if (rest[0]) rest[0] = rest[0].subarray(left)
  return rest
}

function createNow (path: string, mode: number): number | null {
  try {
    return fs.openSync(path, 'wx+', mode)
  } catch (error) {
    return nullIfPresent(error)
  }
}

function statNow (path: string): fs.Stats | null {
  try {
    return fs.statSync(path, { throwIfNoEntry: false }) ?? null
  } catch (error) {
    return nullIfNoFile(error)
  }
}

function readTextNow (path: string, start: string): string | null {
  let fd: number | null = null
  try {
    fd = fs.openSync(path, TO_READ)
    const text = head.toString('utf8', 0, fs.readSync(fd, head, 0, head.length, 0))
    return isEnough(text, start) ? text : fs.readFileSync(path, 'utf8')
  } catch (error) {
    return nullIfNoFile(error)
  } finally {
    if (fd !== null) fs.closeSync(fd)
  }
}

async function readText (path: string, start: string): Promise<string> {
  const fd = await open(path, TO_READ)
  try {
    const { bytesRead, buffer } = await read(fd, Buffer.allocUnsafe(head.length), 0, head.length, 0)
    const text = buffer.toString('utf8', 0, bytesRead)
    return isEnough(text, start) ? text : await fs.promises.readFile(path, 'utf8')
  } finally {
    await close(fd)
  }
}

/** Whether a text is certainly whole, or the beginning of one that is not wanted. A character takes up to three bytes of it, or four for two. */
function isEnough (text: string, start: string): boolean {
  return text.length < head.length / 3 || !text.startsWith(start)
}

/** A folder, a pipe, a socket, a link to itself: of that name there is no file. */
function nullIfNoFile (error: unknown): null {
  return isCode(error, 'EISDIR', 'ESPIPE', 'ENXIO', 'ELOOP') ? null : nullIfMissing(error)
}

function nullIfPresent (error: unknown): null {
  if (isCode(error, 'EEXIST')) return null
  throw error
}

const open = promisify(fs.open) as (path: string, flags: string | number, mode?: number) => Promise<number>
const close = promisify(fs.close)
const stat = promisify(fs.stat) as (path: string) => Promise<fs.Stats>
const fstat = promisify(fs.fstat) as (fd: number) => Promise<fs.Stats>
const ftruncate = promisify(fs.ftruncate)
const read = promisify(fs.read) as (fd: number, buffer: Buffer, offset: number, length: number, position: number) => Promise<{ bytesRead: number, buffer: Buffer }>
const fsync = promisify(fs.fsync)
const fdatasync = promisify(fs.fdatasync)

function writev (fd: number, buffers: readonly Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.writev(fd, buffers, position, (error, written) => error ? reject(error) : resolve(written))
  })
}

/** What may be written synchronously, in bytes: a client decides how long a larger write takes. */
const SMALL = 64 * 1024
const COPY = 1024 * 1024
/** Another program may have put a pipe there: opening it does not wait for a writer. Windows has no such pipes. */
const TO_READ = fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0)
/** Read at once: most records are shorter. */
const head = Buffer.allocUnsafeSlow(16 * 1024)
