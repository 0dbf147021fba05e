import { formatBytes, formatTime } from '../units.js'

/** Tells a person how files get on. */
export interface Display {
  /** @param size in bytes; `null` while it is unknown */
  begin (name: string, size: number | null): void
  resumed (name: string, offset: number): void
  progressed (name: string, sent: number): void
  failed (name: string, reason: string, delay: number): void
  /** Takes the file away, with a last line for it. */
  end (name: string, line: string): void
  stop (): void
}

interface Stream {
  write (text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

/** A bar for each file that is being sent on a terminal; lines anywhere else. */
export function createDisplay (stream: Stream): Display {
  return stream.isTTY === true ? new Bars(stream) : new Lines(stream)
}

/** A line for each tenth of a file. */
class Lines implements Display {
  readonly #stream: Stream
  readonly #files = new Map<string, { size: number | null, tenth: number }>()

  constructor (stream: Stream) {
    this.#stream = stream
  }

  begin (name: string, size: number | null): void {
    this.#files.set(name, { size, tenth: 0 })
  }

  resumed (name: string, offset: number): void {
    this.#write(`${name}: goes on at ${formatBytes(offset)}`)
  }

  progressed (name: string, sent: number): void {
    const file = this.#files.get(name)!
    const tenth = file.size === null ? 0 : Math.floor(sent / file.size * 10)
    if (tenth <= file.tenth || tenth === 10) return
    file.tenth = tenth
    this.#write(`${name}: ${tenth * 10} % of ${formatBytes(file.size!)}`)
  }

  failed (name: string, reason: string, delay: number): void {
    this.#write(describeFailure(name, reason, delay))
  }

  end (name: string, line: string): void {
    this.#files.delete(name)
    this.#write(line)
  }

  stop (): void {}

  #write (line: string): void {
    this.#stream.write(`${clean(line)}\n`)
  }
}

interface Bar {
  readonly size: number | null
  sent: number
  /** Bytes per second, smoothed; `null` before anybody knows. */
  rate: number | null
  lookedAt: number
  lookedSent: number | null
}

/** Draws over what it drew before. */
class Bars implements Display {
  readonly #stream: Stream
  readonly #bars = new Map<string, Bar>()
  #drawn = 0
  #timer: NodeJS.Timeout | null = null

  constructor (stream: Stream) {
    this.#stream = stream
  }

  begin (name: string, size: number | null): void {
    this.#bars.set(name, { size, sent: 0, rate: null, lookedAt: performance.now(), lookedSent: null })
    this.#timer ??= setInterval(() => this.#draw(''), REDRAW)
  }

  /** What was there before is not counted into the rate. */
  resumed (name: string, offset: number): void {
    Object.assign(this.#bars.get(name)!, { sent: offset, lookedSent: offset, lookedAt: performance.now() })
  }

  progressed (name: string, sent: number): void {
    const bar = this.#bars.get(name)!
    bar.sent = sent
    const seconds = (performance.now() - bar.lookedAt) / 1000
    if (bar.lookedSent !== null && seconds < SAMPLE) return
    if (bar.lookedSent !== null) {
      const rate = Math.max(0, sent - bar.lookedSent) / seconds
      bar.rate = bar.rate === null ? rate : bar.rate * 0.7 + rate * 0.3
    }
    Object.assign(bar, { lookedAt: performance.now(), lookedSent: sent })
  }

  failed (name: string, reason: string, delay: number): void {
    Object.assign(this.#bars.get(name)!, { rate: null, lookedSent: null })
    this.#draw(describeFailure(name, reason, delay))
  }

  end (name: string, line: string): void {
    this.#bars.delete(name)
    this.#draw(line)
    if (this.#bars.size === 0) this.stop()
  }

  stop (): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** @param line to stay above the bars; empty for none */
  #draw (line: string): void {
    const bars = Array.from(this.#bars, ([name, bar]) => formatBar(name, bar, (this.#stream.columns || 80) - 1))
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : ''
    this.#stream.write(`${up}\r\x1b[J${[...line === '' ? [] : [line], ...bars].map(text => `${clean(text)}\n`).join('')}`)
    this.#drawn = bars.length
  }
}

/** `name  [####----]  45 %  12.3 MB/s  0:42 left`, as much of it as fits into `width` columns. */
export function formatBar (name: string, { size, sent, rate }: Pick<Bar, 'size' | 'sent' | 'rate'>, width: number): string {
  const speed = rate === null ? '' : `  ${formatBytes(rate)}/s`
  if (size === null) return `${shorten(name, 30)}  ${formatBytes(sent)}${speed}`.slice(0, width)
  const share = size === 0 ? 1 : Math.min(1, sent / size)
  const left = rate ? `  ${formatTime((size - sent) / rate)} left` : ''
  const numbers = `${String(Math.floor(share * 100)).padStart(3)} %${speed}${left}`
  const label = shorten(name, Math.max(8, Math.min(30, width - numbers.length - 26)))
  const room = Math.min(40, width - label.length - numbers.length - 6)
  if (room < 5) return `${label} ${numbers}`.slice(0, width)
  const full = Math.floor(share * room)
  return `${label}  [${'#'.repeat(full)}${'-'.repeat(room - full)}]  ${numbers}`
}

/** The end of a name tells more than its beginning. */
function shorten (name: string, most: number): string {
  return name.length <= most ? name : `…${name.slice(name.length - most + 1)}`
}

/** Without what a terminal would obey, or show as something else, in a name or in what a server says; and no longer than anybody reads. */
export function clean (line: string): string {
  const characters = [...line.replace(CONTROLS, ' ')]
  return characters.length <= LONGEST ? characters.join('') : `${characters.slice(0, LONGEST - 1).join('')}…`
}

function describeFailure (name: string, reason: string, delay: number): string {
  return `${name}: ${reason}; tries again in ${formatTime(delay / 1000)}`
}

// eslint-disable-next-line no-control-regex -- C0, C1, and what changes the direction of a text
const CONTROLS = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\p{Surrogate}]/gu
const LONGEST = 1000
/** How often to draw, in ms. */
const REDRAW = 100
/** Over how long a rate is measured, in s. */
const SAMPLE = 0.25
