import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { ChecksumAlgorithm, Digests, DigestsFound } from './checksum.js'
import { DIGEST_PROGRAM } from './digest-program.js'
import { TUS_ERR_CHECKSUM_UNAVAILABLE } from './errors.js'

/**
 * A thread that adds up the bytes of bodies, while this one receives and stores them.
 *
 * Bytes go over in slots of shared memory, 4 MiB in all, however many bodies there are: who finds none free waits until the thread has read one. It keeps the process alive
 * only while a body is open.
 */
export class DigestThread {
  readonly #worker: Worker
  readonly #slots: readonly Uint8Array[]
  readonly #free: number[]
  readonly #waiting: Array<Settle<number>> = []
  readonly #finishing = new Map<number, Settle<readonly string[]>>()
  #bodies = 0
  #lastId = 0
  #ended = false

  /**
   * Resolves when it runs.
   *
   * @throws where no thread can be started: Node may not be allowed to, or there are too many
   */
  static async start (): Promise<DigestThread> {
    const thread = new DigestThread()
    await Promise.race([once(thread.#worker, 'message'), once(thread.#worker, 'exit')])
    if (thread.#ended) throw new Error('The thread ended before it ran')
    thread.#worker.unref()
    return thread
  }

  private constructor () {
    this.#slots = Array.from({ length: SLOTS }, () => new Uint8Array(new SharedArrayBuffer(SLOT)))
    this.#free = this.#slots.map((_, slot) => slot)
    // What the application wants loaded into its own threads, by flags or by NODE_OPTIONS, is not for this one.
    this.#worker = new Worker(DIGEST_PROGRAM, { name: THREAD_NAME, eval: true, execArgv: [], env: {}, workerData: this.#slots })
    this.#worker.on('message', this.#hear)
    this.#worker.on('error', cause => this.#end(cause))
    this.#worker.on('exit', () => this.#end())
  }

  /** Bodies that are being added up. */
  get bodies (): number {
    return this.#bodies
  }

  /** Whether it keeps up with what it is given. */
  get hasRoom (): boolean {
    return !this.#ended && this.#free.length > 0
  }

  /** Whether it is of no use any more. */
  get ended (): boolean {
    return this.#ended
  }

  /** Begins with a body. All that follows throws TUS_ERR_CHECKSUM_UNAVAILABLE if the thread ends before it. */
  open (algorithms: readonly ChecksumAlgorithm[]): Digests {
    const id = ++this.#lastId
    if (this.#bodies++ === 0) this.#worker.ref()
    this.#tell('open', id, algorithms)
    let open = true
    return {
      update: batch => this.#update(id, batch),
      finish: () => this.#finish(id, algorithms),
      close: () => {
        if (open) this.#close(id)
        open = false
      }
    }
  }

  /** Ends it, with all that it was doing. */
  async close (): Promise<void> {
    await this.#worker.terminate()
  }

  async #update (id: number, batch: readonly Uint8Array[]): Promise<void> {
    for (const left = [...batch]; left.length > 0;) {
      const slot = await this.#takeSlot()
      const length = move(left, this.#slots[slot]!)
      this.#tell('update', id, slot, length)
    }
  }

  async #finish (id: number, algorithms: readonly ChecksumAlgorithm[]): Promise<DigestsFound> {
    this.#tell('finish', id)
    const digests = await this.#wait<readonly string[]>(settle => this.#finishing.set(id, settle))
    return new Map(algorithms.map((algorithm, index) => [algorithm, digests[index]!]))
  }

  #close (id: number): void {
    this.#tell('close', id)
    if (--this.#bodies === 0) this.#worker.unref()
  }

  #takeSlot (): number | Promise<number> {
    return this.#ended || this.#free.length === 0 ? this.#wait(settle => this.#waiting.push(settle)) : this.#free.pop()!
  }

  #wait<Value> (register: (settle: Settle<Value>) => void): Promise<Value> {
    return new Promise((resolve, reject) => {
      if (this.#ended) reject(TUS_ERR_CHECKSUM_UNAVAILABLE())
      else register({ resolve, reject })
    })
  }

  #tell (...message: Task): void {
    this.#worker.postMessage(message)
  }

  readonly #hear = (message: Word): void => {
    switch (message[0]) {
      case 'ready': return
      case 'free': return this.#pass(message[1])
      case 'found': return this.#found(message[1], message[2])
      default: message satisfies never
    }
  }

  /** Gives a slot to who has waited longest. */
  #pass (slot: number): void {
    const next = this.#waiting.shift()
    if (next) next.resolve(slot)
    else this.#free.push(slot)
  }

  #found (id: number, digests: readonly string[]): void {
    this.#finishing.get(id)?.resolve(digests)
    this.#finishing.delete(id)
  }

  #end (cause?: unknown): void {
    this.#ended = true
    for (const { reject } of [...this.#waiting, ...this.#finishing.values()]) reject(TUS_ERR_CHECKSUM_UNAVAILABLE({}, cause))
    this.#waiting.length = 0
    this.#finishing.clear()
  }
}

/** Moves bytes from the front of a batch into memory, as many as it takes, and returns their number. */
function move (batch: Uint8Array[], memory: Uint8Array): number {
  let length = 0
  while (batch[0] && length < memory.length) {
    const part = batch[0].subarray(0, memory.length - length)
    memory.set(part, length)
    length += part.length
    if (part.length === batch[0].length) batch.shift()
    else batch[0] = batch[0].subarray(part.length)
  }
  return length
}

type Task =
  | readonly ['open', id: number, algorithms: readonly ChecksumAlgorithm[]]
  | readonly ['update', id: number, slot: number, length: number]
  | readonly ['finish' | 'close', id: number]

type Word =
  | readonly ['ready']
  | readonly ['free', slot: number]
  | readonly ['found', id: number, digests: readonly string[]]

interface Settle<Value> {
  readonly resolve: (value: Value) => void
  readonly reject: (error: Error) => void
}

/** What debuggers and lists of threads call it. */
export const THREAD_NAME = 'tus-digests'
/** Bytes. */
const SLOT = 512 * 1024
const SLOTS = 8
