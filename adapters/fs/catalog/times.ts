import type { Database } from './database.js'

/** When something was done last, in ms since 1970, by any process. */
export class Times {
  readonly #database: Database

  constructor (database: Database) {
    this.#database = database
  }

  get (name: Name): number | null {
    const row = this.#database.prepare('SELECT time FROM times WHERE name = ?').get(name) as { time: number } | undefined
    return row?.time ?? null
  }

  set (name: Name, time: number): Promise<void> {
    return this.#database.write(() => { this.#put(name, time) })
  }

  /** Whether it was not done within `interval` ms: then it is the caller's to do. */
  take (name: Name, interval: number): Promise<boolean> {
    return this.#database.write(() => {
      const now = Date.now()
      const last = this.get(name)
      if (last !== null && last <= now && now - last < interval) return false
      this.#put(name, now)
      return true
    })
  }

  #put (name: Name, time: number): void {
    this.#database.prepare('INSERT INTO times (name, time) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET time = excluded.time').run(name, time)
  }
}

type Name = 'created' | 'scan' | 'tidy'
