import { formatHead } from './connection.mjs'
import { Exchange, openConnection } from './exchange.mjs'
import { getWords } from './words.mjs'

/**
 * A `PATCH` on a connection of its own, under the control of its client.
 *
 * How the body comes: `plain`, `chunked`, `sum` (a digest in a header), `trailer` (the same behind it), `wrong sum` (the right bytes), `wrong bytes`
 * (the right sum), `wrong trailer`.
 */
export class Patch {
  #run
  #journal
  #connection
  #exchange
  #body
  #sent = 0

  /** @returns {Promise<Patch | null>} `null` if there is no connection */
  static async open (run, random, journal, plan) {
    const connection = await openConnection(run, random)
    return connection && new Patch(run, journal, connection, plan)
  }

  /** @param plan `offset`, `end`, `how`, and `content` where it is not that of the upload */
  constructor (run, journal, connection, { offset, end, how: planned = 'plain', content = journal.content }) {
    const how = getWords().hows[planned] ?? planned
    this.#run = run
    this.#journal = journal
    this.#connection = connection
    this.#body = content.read(offset, end)
    Object.assign(this, { offset, end, how })
    this.checksum = how.startsWith('wrong') ? 'wrong' : how === 'sum' || how === 'trailer' ? 'right' : null
    if (how === 'wrong bytes' && this.#body.length > 0) this.#body[Math.floor(this.#body.length / 2)] ^= 1
    this.sum = getWords().digest(how === 'wrong sum' || how === 'wrong trailer' ? 'something else' : content.read(offset, end))
    run.figures.count('bodies', how)
  }

  get #isChunked () {
    return this.how === 'chunked' || this.how.includes('trailer')
  }

  get answered () {
    return this.#connection.answered || this.#connection.closed
  }

  /** What the client sends first. */
  get head () {
    const { offset, end, how, sum } = this
    const journal = this.#journal
    return formatHead('PATCH', journal.path, {
      ...getWords().append(end, journal.length),
      'Upload-Offset': offset,
      ...journal.deferred && end === journal.length && { 'Upload-Length': journal.length },
      ...this.#isChunked ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': this.#body.length },
      ...how.includes('trailer') && { Trailer: 'Upload-Checksum' },
      ...(how === 'sum' || how === 'wrong sum' || how === 'wrong bytes') && getWords().checksum(sum)
    })
  }

  /** Notes that the request begins, and sends its head or what is left of it. */
  async begin (head = this.head) {
    const { offset, end, how, checksum } = this
    this.#exchange = new Exchange(this.#run, this.#journal, 'PATCH', { offset, end, how, checksum })
    await this.#connection.send(head)
    return this
  }

  /** Sends bytes on a connection for which no request was begun. */
  sendRaw (bytes) {
    return this.#connection.send(bytes)
  }

  /** Sends the next `count` bytes of the body. */
  async send (count) {
    const piece = this.#body.subarray(this.#sent, this.#sent + count)
    if (piece.length === 0 || this.answered) return
    this.#sent += piece.length
    // From here on they may count, whether or not anybody says so.
    if (this.checksum === null) this.#journal.reach.add(this.offset, this.offset + this.#sent)
    else if (this.checksum === 'right' && this.#sent === this.#body.length) this.#journal.reach.add(this.end, this.end)
    this.#run.figures.count('bytes', 'sent', piece.length)
    await this.#connection.send(this.#isChunked ? Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]) : piece)
  }

  /** Sends the rest, in pieces of up to `size` bytes, with what ends a body. */
  async finish (size = 256 * 1024, pause = async () => {}) {
    while (this.#sent < this.#body.length && !this.answered) {
      await this.send(size)
      await pause()
    }
    if (this.answered && this.#sent < this.#body.length) return this
    if (this.#isChunked) await this.#connection.send(this.how === 'chunked' ? '0\r\n\r\n' : `0\r\nUpload-Checksum: sha1 ${this.sum}\r\n\r\n`)
    this.#exchange.whole = true
    return this
  }

  /** All of a plain request in one piece, for a client that sends several without waiting. */
  takeWhole () {
    this.#journal.reach.add(this.offset, this.end)
    this.#sent = this.#body.length
    this.#run.figures.count('bytes', 'sent', this.#sent)
    return Buffer.concat([Buffer.from(this.head), this.#body])
  }

  /** Notes that the request begins which is part of `bytes`. */
  async beginWhole (bytes) {
    await this.begin(bytes)
    this.#exchange.whole = true
  }

  /** The answer; `null` if the connection broke first. Closes the connection, unless another request is on it. */
  async receive (connection = 'close') {
    const response = await this.#exchange.receive(this.#connection)
    if (connection === 'close') this.#connection.close()
    return response
  }

  /** Breaks the connection: in order or with RST. */
  cut (how) {
    this.#run.figures.count('cuts', how)
    this.#journal.note(`PATCH cut at ${this.#sent} of ${this.#body.length} (${how})`)
    this.#connection[how]()
  }
}

/** A `PATCH` from its first byte to its answer; `null` if there was none. */
export async function patch (run, random, journal, plan) {
  const request = await Patch.open(run, random, journal, plan)
  if (request === null) return null
  await (await request.begin()).finish()
  return request.receive()
}
