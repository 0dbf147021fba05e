import type { Config } from './config.js'
import { find, formatSize, make } from './elements.js'

export interface FinishedUpload {
  readonly name: string
  /** In bytes. */
  readonly size: number
  readonly url: string
  /** When it was finished, in ms since 1970. */
  readonly at: number
}

/** The list of what this browser has sent. The server is never asked for one: nobody sees what others have sent. */
export class FinishedUploads {
  readonly #section: HTMLElement
  readonly #download: boolean
  readonly #key: string
  #uploads: readonly FinishedUpload[]

  constructor (section: HTMLElement, { endpoint, download }: Config) {
    this.#section = section
    this.#download = download
    this.#key = `fastify-tus finished ${endpoint}`
    this.#uploads = load(this.#key)
    find('.for-downloads', section).hidden = !download
    addEventListener('storage', ({ key }) => {
      if (key === this.#key) this.#set(load(this.#key))
    })
    this.#render()
  }

  add (upload: FinishedUpload): void {
    this.#save([upload, ...load(this.#key).filter(({ url }) => url !== upload.url)].slice(0, MOST))
  }

  #remove (upload: FinishedUpload): void {
    this.#save(load(this.#key).filter(({ url }) => url !== upload.url))
    const title = find('h2', this.#section)
    if (this.#uploads.length > 0) title.focus()
  }

  #save (uploads: readonly FinishedUpload[]): void {
    store(this.#key, uploads)
    this.#set(uploads)
  }

  #set (uploads: readonly FinishedUpload[]): void {
    this.#uploads = uploads
    this.#render()
  }

  #render (): void {
    this.#section.hidden = this.#uploads.length === 0
    find('ul', this.#section).replaceChildren(...this.#uploads.map(upload => this.#renderOne(upload)))
  }

  #renderOne (upload: FinishedUpload): HTMLElement {
    const { name, size, url, at } = upload
    const title = this.#download ? make('a', { className: 'name', href: url, textContent: name }) : make('span', { className: 'name', textContent: name })
    const facts = make('span', { className: 'facts' }, `${formatSize(size)} · `, make('time', { dateTime: new Date(at).toISOString() }, formatTime(at)))
    return make('li', {}, make('div', {}, title, facts), ...this.#download && navigator.clipboard ? [renderCopy(upload)] : [], this.#renderRemove(upload))
  }

  #renderRemove (upload: FinishedUpload): HTMLElement {
    return make('button', { type: 'button', ariaLabel: `Remove ${upload.name} from this list`, onclick: () => this.#remove(upload) }, 'Remove')
  }
}

function renderCopy ({ name, url }: FinishedUpload): HTMLElement {
  const button = make('button', { type: 'button', ariaLabel: `Copy the link of ${name}` }, 'Copy link')
  button.onclick = () => {
    navigator.clipboard.writeText(url).then(() => { button.textContent = 'Copied' }, () => { button.textContent = 'Not copied' })
  }
  return button
}

function formatTime (at: number): string {
  return new Date(at).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' })
}

/** A browser that keeps nothing for this page forgets the list with it. */
function load (key: string): readonly FinishedUpload[] {
  try {
    return JSON.parse(localStorage.getItem(key) ?? memory.get(key) ?? '[]')
  } catch {
    return JSON.parse(memory.get(key) ?? '[]')
  }
}

function store (key: string, uploads: readonly FinishedUpload[]): void {
  const text = JSON.stringify(uploads)
  memory.set(key, text)
  try {
    localStorage.setItem(key, text)
  } catch {
    // Full, or not allowed: what is in memory serves until the page is closed.
  }
}

const memory = new Map<string, string>()
/** Entries; the oldest ones go. */
const MOST = 500
