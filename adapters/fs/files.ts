import * as fs from 'node:fs'
import { promisify } from 'node:util'
import { Pace } from './pace.js'

/**
 * The file operations of this adapter, each synchronous or through the thread pool as {@link Pace} advises.
 *
 * Every one may return its value or a promise of it: `await` both.
 */
export class Files {
  readonly durability: 'fsync' | 'none'
  readonly #metadata: Pace
  readonly #sync: Pace

  /**
   * @param metadata for small operations
   * @param sync for syncs, of which only a memory filesystem makes short work
   */
  constructor (durability: 'fsync' | 'none', metadata: Pace, sync: Pace) {
    this.durability = durability
    this.#metadata = metadata
    this.#sync = sync
  }

  /** Opens for reading and writing. */
  open (path: string) {
    return this.run(() => fs.openSync(path, 'r+'), () => open(path, 'r+'))
  }

  /** Creates a file and opens it for reading and writing; `null` if there is one. */
  async create (path: string): Promise<number | null> {
    try {
      return await this.run(() => fs.openSync(path, 'wx+', MODE), () => open(path, 'wx+', MODE))
    } catch (error) {
      if (isCode(error, 'EEXIST')) return null
      throw error
    }
  }

  async createOrThrow (path: string): Promise<number> {
    const fd = await this.create(path)
    if (fd === null) throw new Error('A temporary file is in the way')
    return fd
  }

  /** Copies a file into an open one from byte `position` on, and resolves to the byte behind it. */
  async copyInto (fd: number, path: string, position: number): Promise<number> {
    let end = position
    for await (const chunk of fs.createReadStream(path, { highWaterMark: COPY })) {
      await this.write(fd, [chunk], chunk.length, end)
      end += chunk.length
    }
    return end
  }

  close (fd: number) {
    return this.run(() => fs.closeSync(fd), () => close(fd))
  }

  /** `null` if there is no such file. */
  stat (path: string): fs.Stats | null | Promise<fs.Stats | null> {
    return this.run(() => fs.statSync(path, { throwIfNoEntry: false }) ?? null, () => stat(path).catch(nullIfMissing))
  }

  statOpen (fd: number) {
    return this.run(() => fs.fstatSync(fd), () => fstat(fd))
  }

  /** `null` if there is no such file. */
  async readText (path: string): Promise<string | null> {
    try {
      return await this.run(() => fs.readFileSync(path, 'utf8'), () => fs.promises.readFile(path, 'utf8'))
    } catch (error) {
      return nullIfMissing(error)
    }
  }

  /** Writes a small text to the start of an open file. */
  async writeText (fd: number, text: string): Promise<void> {
    const bytes = Buffer.from(text)
    await this.write(fd, [bytes], bytes.length, 0)
  }

  rename (from: string, to: string) {
    return this.run(() => fs.renameSync(from, to), () => fs.promises.rename(from, to))
  }

  /** Removes a file; one that is not there is no error. */
  remove (path: string) {
    return this.run(() => fs.rmSync(path, { force: true }), () => fs.promises.rm(path, { force: true }))
  }

  truncate (fd: number, length: number) {
    return this.run(() => fs.ftruncateSync(fd, length), () => ftruncate(fd, length))
  }

  /** Writes all of the buffers, one behind the other, from byte `position` on. */
  async write (fd: number, buffers: readonly Uint8Array[], size: number, position: number): Promise<void> {
    const quick = size <= SMALL && this.#metadata.isQuick
    let rest = buffers
    for (let done = 0; done < size;) {
      const written: number = quick
        ? this.#metadata.measure(() => fs.writevSync(fd, rest, position + done))
        : await writev(fd, rest, position + done)
      done += written
      if (done < size) rest = skip(rest, written)
    }
  }

  /** Makes the bytes and the length of an open file durable, if that is asked for. */
  sync (fd: number): void | Promise<void> {
    if (this.durability === 'none') return
    return this.#sync.isQuick ? this.#sync.measure(() => fs.fdatasyncSync(fd)) : fdatasync(fd)
  }

  /** Makes the entries of an open directory durable; some file systems do that only at a full sync. */
  syncDirectory (fd: number): void | Promise<void> {
    return this.#sync.isQuick ? this.#sync.measure(() => fs.fsyncSync(fd)) : fsync(fd)
  }

  /** Runs a small operation, synchronously or not. */
  run<Result> (now: () => Result, later: () => Promise<Result>): Result | Promise<Result> {
    return this.#metadata.isQuick ? this.#metadata.measure(now) : later()
  }
}

/**
 * Whether a sync takes no more than a system call, as on a memory filesystem.
 *
 * @param path for a file to try it on, which is removed again
 */
export function measureSync (path: string): boolean {
  const fd = fs.openSync(path, 'wx')
  try {
    const times = [1, 2, 3, 4, 5].map(() => {
      fs.writeSync(fd, 'x')
      const start = performance.now()
      fs.fdatasyncSync(fd)
      return performance.now() - start
    })
    // The middle one: a busy machine is slow now and then.
    return times.sort((a, b) => a - b)[2]! < 0.1
  } finally {
    fs.closeSync(fd)
    fs.rmSync(path)
  }
}

/** @throws the error, unless it says that a file is not there */
export function nullIfMissing (error: unknown): null {
  if (isCode(error, 'ENOENT')) return null
  throw error
}

export function isCode (error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(error.code as string)
}

function skip (buffers: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const rest = [...buffers]
  let left = bytes
  while (rest[0] && left >= rest[0].byteLength) left -= rest.shift()!.byteLength
  if (rest[0]) rest[0] = rest[0].subarray(left)
  return rest
}

const open = promisify(fs.open) as (path: string, flags: string, mode?: number) => Promise<number>
const close = promisify(fs.close)
const stat = promisify(fs.stat) as (path: string) => Promise<fs.Stats>
const fstat = promisify(fs.fstat) as (fd: number) => Promise<fs.Stats>
const ftruncate = promisify(fs.ftruncate)
const fsync = promisify(fs.fsync)
const fdatasync = promisify(fs.fdatasync)

function writev (fd: number, buffers: readonly Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.writev(fd, buffers, position, (error, written) => error ? reject(error) : resolve(written))
  })
}

/** Files are for the owner and the group: other users of the machine have no business with them. */
const MODE = 0o640
/** What may be written synchronously, in bytes: a client decides how long a larger write takes. */
const SMALL = 64 * 1024
const COPY = 1024 * 1024
