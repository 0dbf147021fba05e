import type { FastifyRequest } from 'fastify'
import { createHash } from 'node:crypto'
import type { TusOptions } from './options.js'
import { ask, type Question } from './question.js'
import { createRandomId } from './random-id.js'
import type { Storage } from './storage.js'
import { isValidId, type NewUpload } from './upload.js'

/**
 * The URLs that the application gives to uploads (`location`), as one request needs them.
 *
 * The application may write them as it likes, and each time in another way: with a signature, with the time when that ends. So a partial upload
 * notes the one that its client was told.
 */
export class OwnLocations {
  readonly #storage: Pick<Storage, 'find'>
  readonly #location: NonNullable<TusOptions['location']>
  readonly #request: FastifyRequest
  readonly #urls = new Map<string, string>()
  #template: Promise<Template> | null = null

  constructor (storage: Pick<Storage, 'find'>, location: NonNullable<TusOptions['location']>, request: FastifyRequest) {
    this.#storage = storage
    this.#location = location
    this.#request = request
  }

  /**
   * Asks where an upload is, once.
   *
   * @throws TUS_ERR_HOOK_RESULT, what the application throws to refuse the request
   */
  async resolve (id: string): Promise<string> {
    const url = this.#urls.get(id) ?? await ask(LOCATION, this.#request.log, () => this.#location(this.#request, id))
    this.#urls.set(id, url)
    return url
  }

  /** What {@link resolve} gave. */
  get (id: string): string {
    return this.#urls.get(id)!
  }

  /** Asks where a new upload will be, before it is stored. */
  async place (draft: NewUpload): Promise<NewUpload> {
    const url = await this.resolve(draft.id)
    return draft.partial ? { ...draft, echo: { ...draft.echo, [NOTE]: hash(this.#getForms(url)[0]!) } } : draft
  }

  /**
   * The id that a URL names: the one that the client of a partial upload was told, or the one that the application gives to it now. `null` for any
   * other, also for one that is right but for its signature.
   */
  async getIdOf (named: string): Promise<string | null> {
    const template = await (this.#template ??= this.#learn())
    const url = parse(named, this.#base)
    const id = url && getId(template, url)
    const upload = id ? await this.#storage.find(id) : null
    if (!url || !upload) return null
    // Without a host, it means the one of the application.
    const forms = this.#getForms(url.origin === NOWHERE.origin ? new URL(`${url.pathname}${url.search}`, template.url).href : url.href)
    if (forms.some(form => hash(form) === upload.echo[NOTE])) return id
    const [current] = this.#getForms(await this.resolve(upload.id))
    return forms.includes(current!) ? id : null
  }

  /** What a relative URL is relative to. */
  get #base (): URL {
    const { pathname } = parse(this.#request.originalUrl, NOWHERE) ?? NOWHERE
    return new URL(`${NOWHERE.origin}${pathname}`)
  }

  /** A URL with its host, if it has one, and without: where the application gives a path, its host is the client's own view of this server. */
  #getForms (text: string): string[] {
    const { origin, pathname, search } = new URL(text, this.#base)
    const path = `${pathname}${search}`
    return origin === NOWHERE.origin ? [path] : [`${origin}${path}`, path]
  }

  /** Where in a URL the id is, from the URL of an id that is none. */
  async #learn (): Promise<Template> {
    const id = createRandomId()
    const url = new URL(await this.resolve(id), this.#base)
    const segment = url.pathname.split('/').findIndex(segment => segment.includes(id))
    const [name] = [...url.searchParams].find(([, value]) => value.includes(id)) ?? []
    const text = segment < 0 ? name === undefined ? '' : url.searchParams.get(name)! : url.pathname.split('/')[segment]!
    const [before = '', after = ''] = text.split(id)
    return { url, segment, name: name ?? null, before, after }
  }
}

/** The URL of some id, and where it has it: in a segment of its path, or in the value of a parameter, between two texts. */
interface Template {
  readonly url: URL
  /** −1 where no segment has it. */
  readonly segment: number
  readonly name: string | null
  readonly before: string
  readonly after: string
}

function getId ({ segment, name, before, after }: Template, { pathname, searchParams }: URL): string | null {
  const text = segment < 0 ? name && searchParams.get(name) : pathname.split('/')[segment]
  if (!text || !text.startsWith(before) || !text.endsWith(after)) return null
  const id = text.slice(before.length, text.length - after.length)
  return isValidId(id) ? id : null
}

function parse (text: string, base: URL): URL | null {
  const url = URL.canParse(text, base.href) ? new URL(text, base) : null
  return url !== null && /^https?:$/.test(url.protocol) ? url : null
}

function hash (text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

/** An absolute URL or a path in the form that a header can hold: what is no part of a URL is percent-encoded. */
function readLocation (given: unknown): string | undefined {
  if (typeof given !== 'string' || given === '' || BAD.test(given)) return undefined
  const url = parse(given, NOWHERE)
  if (url === null) return undefined
  if (!NO_URI.test(given)) return given
  return given.startsWith('//') ? undefined : encode(url.origin === NOWHERE.origin ? given : url.href)
}

function encode (url: string): string {
  return url.replace(new RegExp(NO_URI, 'gu'), character => encodeURIComponent(character))
}

const LOCATION: Question<string> = { hook: 'location', expected: 'the URL of the upload, absolute or a path', read: readLocation }
/** Where a partial upload notes the URL that its client was told. */
const NOTE = 'location'
/** The host of URLs that have none. */
const NOWHERE = new URL('http://nowhere.invalid')
/** Control characters, spaces around it, half a character, and what looks like an escape and is none. */
const BAD = /\p{Cc}|^\s|\s$|\p{Surrogate}|%(?![0-9A-Fa-f]{2})/u
const NO_URI = /[^A-Za-z0-9._~:/?#[\]@!$&'()*+,;=%-]/u
