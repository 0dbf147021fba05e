import type { Piece } from './record.js'
import type { Entry } from './records.js'
import type { Region } from './region.js'
import { deletePieces, putPiece, readPiece, type Store } from './store.js'

/** The pieces behind the last part, as one body changes them: written before the record names them, deleted when it names them no more. */
export class Pieces {
  readonly #store: Store
  readonly #entry: Entry
  readonly #region: Region
  /** Their bytes lie elsewhere now: to be deleted as soon as the record says so. */
  #replaced: Piece[] = []
  /** When the first piece was stored that the record does not name yet. */
  #keptAt = Infinity

  constructor (store: Store, entry: Entry, region: Region) {
    this.#store = store
    this.#entry = entry
    this.#region = region
  }

  /** Afterwards all bytes are in memory. */
  read (): Promise<void> {
    return this.#region.fill(piece => readPiece(this.#store, this.#entry.id, piece))
  }

  /** Stores what lies nowhere but in memory. */
  async keepFresh (): Promise<void> {
    if (this.#region.fresh.length === 0) return
    if (this.#region.pieces.length >= MOST_PIECES) return this.#rewrite()
    this.#region.keep(await putPiece(this.#store, this.#entry.id, this.#region.fresh))
    this.#keptAt = Math.min(this.#keptAt, Date.now())
  }

  /** The record was written: what it names no more is deleted. */
  confirm (): void {
    const named = new Set(this.#entry.record.pieces.map(({ name }) => name))
    if (this.#region.pieces.every(({ name }) => named.has(name))) this.#keptAt = Infinity
    deletePieces(this.#store, this.#entry.id, this.#replaced.filter(({ name }) => !named.has(name)))
    this.#replaced = this.#replaced.filter(({ name }) => named.has(name))
  }

  /** Stores again what `tidy` might take for left behind. */
  async renew (): Promise<void> {
    if (this.#region.size > 0 && Date.now() - this.#keptAt > RENEW) await this.#rewrite()
  }

  /** These are in a part now. */
  replace (pieces: readonly Piece[]): void {
    this.#replaced.push(...pieces)
  }

  /** Makes one new piece of all. */
  async #rewrite (): Promise<void> {
    await this.read()
    this.#replaced.push(...this.#region.pieces)
    this.#region.merge(await putPiece(this.#store, this.#entry.id, this.#region.look()))
    this.#keptAt = Date.now()
  }
}

/** Pieces that no record names are cleared away after an hour, in ms: older ones are not relied on. */
const RENEW = 30 * 60_000
/** More of them are rewritten as one. */
const MOST_PIECES = 128
