import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** What makes two runs send the same file to the same place. */
export interface Errand {
  readonly to: string
  /** Absolute. */
  readonly path: string
  /** In bytes. */
  readonly size: number
  /** In ms. */
  readonly modifiedAt: number
}

/**
 * Where the uploads are that were begun, for the next run: a file for each, below `$XDG_STATE_HOME/fastify-tus/uploads`. Who knows such a URL may be able to write there, so only
 * the user can read them.
 */
export class Places {
  readonly #directory: string

  /** @param env of the process */
  constructor (env: NodeJS.ProcessEnv) {
    const state = env.XDG_STATE_HOME || (process.platform === 'win32' && env.LOCALAPPDATA) || join(homedir(), '.local/state')
    this.#directory = join(state, 'fastify-tus/uploads')
  }

  /** The URL of the upload that was begun for it; `null` if there is none that can be read. */
  find (errand: Errand): string | null {
    try {
      const { url } = JSON.parse(readFileSync(this.#getFile(errand), 'utf8'))
      return typeof url === 'string' && URL.canParse(url) ? url : null
    } catch {
      return null
    }
  }

  /** At once and whole, so that a run that is killed behind it can be gone on with. */
  note (errand: Errand, url: string): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    const file = this.#getFile(errand)
    writeFileSync(`${file}.${process.pid}`, `${JSON.stringify({ url, ...errand })}\n`, { mode: 0o600 })
    renameSync(`${file}.${process.pid}`, file)
  }

  forget (errand: Errand): void {
    rmSync(this.#getFile(errand), { force: true })
  }

  #getFile ({ to, path, size, modifiedAt }: Errand): string {
    const name = createHash('sha256').update(JSON.stringify([to, path, size, modifiedAt])).digest('hex')
    return join(this.#directory, `${name}.json`)
  }
}
