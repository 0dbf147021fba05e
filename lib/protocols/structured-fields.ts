/**
 * Structured fields for HTTP, parsed as strictly as the RFC has it: what is not exactly of the form is `null`, and the field is to be ignored.
 *
 * @see RFC 9651, section 4.2
 */

/** The largest integer that a field can hold: more has no form (section 3.3.1). */
export const LARGEST_INTEGER = 999_999_999_999_999

/** A token is a name and no text: `Symbol` would do, but could not be compared. */
export class Token {
  readonly name: string

  constructor (name: string) {
    this.name = name
  }
}

/** A decimal is told apart from an integer: `1.0` is no whole number here. */
export class Decimal {
  readonly value: number

  constructor (value: number) {
    this.value = value
  }
}

/** Integer, decimal, string or display string, token, byte sequence, boolean, date. */
export type BareItem = number | Decimal | string | Token | Uint8Array | boolean | Date
export type Parameters = ReadonlyMap<string, BareItem>

export interface Item {
  readonly value: BareItem
  readonly parameters: Parameters
}

export interface InnerList {
  readonly items: readonly Item[]
  readonly parameters: Parameters
}

export type Dictionary = ReadonlyMap<string, Item | InnerList>

/** A field that is one item; `null` if it is none. */
export function parseItem (text: string): Item | null {
  return parse(text, parser => parser.item())
}

/** A field that is a dictionary; a key that comes twice counts as it came last. `null` if it is none. */
export function parseDictionary (text: string): Dictionary | null {
  return parse(text, parser => parser.dictionary())
}

/** `?1` or `?0`. */
export function formatBoolean (value: boolean): string {
  return value ? '?1' : '?0'
}

/** A dictionary of whole numbers and byte sequences. */
export function formatDictionary (members: Readonly<Record<string, number | Uint8Array>>): string {
  return Object.entries(members)
    .map(([key, value]) => `${key}=${typeof value === 'number' ? value : `:${Buffer.from(value).toString('base64')}:`}`)
    .join(', ')
}

function parse<Result> (text: string, read: (parser: Parser) => Result): Result | null {
  const parser = new Parser(text)
  try {
    parser.skip(/ */y)
    const result = read(parser)
    parser.skip(/ */y)
    return parser.atEnd ? result : null
  } catch (error) {
    if (error instanceof Malformed) return null
    throw error
  }
}

class Malformed extends Error {}

/** Goes through the text once, from the left to the right. */
class Parser {
  readonly #text: string
  #at = 0

  constructor (text: string) {
    this.#text = text
  }

  get atEnd (): boolean {
    return this.#at === this.#text.length
  }

  /** Takes what matches here; the expression is sticky. */
  skip (expression: RegExp): string | null {
    expression.lastIndex = this.#at
    const match = expression.exec(this.#text)
    if (match === null) return null
    this.#at += match[0].length
    return match[0]
  }

  dictionary (): Dictionary {
    const members = new Map<string, Item | InnerList>()
    while (!this.atEnd) {
      const key = this.#take(KEY)
      const member = this.skip(/=/y) === null ? { value: true, parameters: this.#parameters() } : this.#member()
      // The last one counts, and stands where it came.
      members.delete(key)
      members.set(key, member)
      this.skip(/[ \t]*/y)
      if (this.atEnd) break
      this.#take(/,[ \t]*/y)
      // "Trailing comma" is an error.
      if (this.atEnd) throw new Malformed()
    }
    return members
  }

  item (): Item {
    return { value: this.#bare(), parameters: this.#parameters() }
  }

  #member (): Item | InnerList {
    return this.skip(/\(/y) === null ? this.item() : this.#innerList()
  }

  #innerList (): InnerList {
    const items: Item[] = []
    for (;;) {
      this.skip(/ */y)
      if (this.skip(/\)/y) !== null) return { items, parameters: this.#parameters() }
      items.push(this.item())
      if (!/[ )]/.test(this.#text[this.#at] ?? '')) throw new Malformed()
    }
  }

  #parameters (): Parameters {
    const parameters = new Map<string, BareItem>()
    while (this.skip(/; */y) !== null) {
      const key = this.#take(KEY)
      const value = this.skip(/=/y) === null ? true : this.#bare()
      parameters.delete(key)
      parameters.set(key, value)
    }
    return parameters
  }

  #bare (): BareItem {
    switch (this.#text[this.#at]) {
      case '"': return this.#take(STRING).slice(1, -1).replace(/\\(.)/g, '$1')
      case ':': return decodeBytes(this.#take(BYTES))
      case '?': return this.#take(/\?[01]/y) === '?1'
      case '@': return toDate(toInteger(this.#take(/@-?\d+(?!\.)/y).slice(1)))
      case '%': return decodeDisplay(this.#take(DISPLAY).slice(2, -1))
      default: return this.#number() ?? new Token(this.#take(TOKEN))
    }
  }

  #number (): number | Decimal | null {
    const text = this.skip(/-?\d[\d.]*/y)
    if (text === null) return null
    if (!text.includes('.')) return toInteger(text)
    if (!/^-?\d{1,12}\.\d{1,3}$/.test(text)) throw new Malformed()
    return new Decimal(Number(text))
  }

  #take (expression: RegExp): string {
    const text = this.skip(expression)
    if (text === null) throw new Malformed()
    return text
  }
}

/** Up to 15 digits. */
function toInteger (text: string): number {
  if (!/^-?\d{1,15}$/.test(text)) throw new Malformed()
  return Number(text)
}

/** A date of the RFC counts seconds, and may be one that no calendar here knows. */
function toDate (seconds: number): Date {
  return new Date(seconds * 1000)
}

/** Base64 whose padding may be left out. */
function decodeBytes (text: string): Uint8Array {
  const base64 = text.slice(1, -1)
  if (!BASE64.test(base64)) throw new Malformed()
  return Buffer.from(base64, 'base64')
}

/** UTF-8 in percent-encoding. */
function decodeDisplay (text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Malformed()
  }
}

const KEY = /[a-z*][a-z0-9_\-.*]*/y
const STRING = /"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"/y
const TOKEN = /[A-Za-z*][A-Za-z0-9!#$%&'*+\-.^_`|~:/]*/y
const BYTES = /:[A-Za-z0-9+/=]*:/y
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/
const DISPLAY = /%"(?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*"/y
