import { defaultOptions, Upload, type PreviousUpload } from 'tus-js-client'
import type { Config } from './config.js'
import { find, formatSize, make } from './elements.js'

type StoredUpload = PreviousUpload & { readonly urlStorageKey: string, readonly uploadUrl?: string }

/**
 * Uploads that this browser began, and whose files it has no copy of: choosing the same file again is enough to go on with one.
 * tus-js-client remembers their addresses; this shows them.
 */
export class UnfinishedUploads {
  readonly #section: HTMLElement
  readonly #endpoint: string

  constructor (section: HTMLElement, { endpoint }: Config) {
    this.#section = section
    this.#endpoint = endpoint
  }

  /** Shows all but those of the files that Uppy has. */
  async show (present: readonly string[]): Promise<void> {
    const uploads = await defaultOptions.urlStorage.findAllUploads() as StoredUpload[]
    const waiting = uploads.filter(upload => this.#isOurs(upload) && !present.some(id => isOf(upload, id)))
    find('ul', this.#section).replaceChildren(...waiting.map(upload => this.#renderOne(upload)))
    this.#hideIfEmpty()
  }

  /** Takes off the one of a file that Uppy has from now on. */
  hide (id: string): void {
    for (const item of this.#section.querySelectorAll('li')) {
      if (item.dataset.key?.startsWith(getKeyStart(id))) item.remove()
    }
    this.#hideIfEmpty()
  }

  #isOurs ({ uploadUrl }: StoredUpload): boolean {
    return uploadUrl?.includes(`${new URL(this.#endpoint).pathname.replace(/\/$/, '')}/`) ?? false
  }

  #renderOne (upload: StoredUpload): HTMLElement {
    const name = upload.metadata.filename ?? 'A file'
    const item = make('li', {}, make('div', {},
      make('span', { className: 'name', textContent: name }),
      make('span', { className: 'facts', textContent: upload.size === null ? '' : formatSize(upload.size) })))
    item.dataset.key = upload.urlStorageKey
    item.append(make('button', { type: 'button', ariaLabel: `Discard ${name}`, onclick: () => this.#discard(upload, item) }, 'Discard'))
    return item
  }

  /** What has arrived is deleted, too. If the server can't be asked to, it expires there by itself. */
  async #discard (upload: StoredUpload, item: HTMLElement): Promise<void> {
    item.remove()
    this.#hideIfEmpty()
    await defaultOptions.urlStorage.removeUpload(upload.urlStorageKey)
    await Upload.terminate(upload.uploadUrl!).catch(() => {})
  }

  #hideIfEmpty (): void {
    this.#section.hidden = find('ul', this.#section).childElementCount === 0
  }
}

/** How @uppy/tus names the file with that id in the storage of tus-js-client. */
function getKeyStart (id: string): string {
  return `tus::tus-${id}-`
}

function isOf ({ urlStorageKey }: StoredUpload, id: string): boolean {
  return urlStorageKey.startsWith(getKeyStart(id))
}
