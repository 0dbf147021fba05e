import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from '../../support/waiting.js'
import { Client, type Violation } from './client.js'
import { Keeper } from './keeper.js'
import { Memory, type MemoryReport } from './memory.js'
import { createProtected, findChange, listDirectory, type Protected } from './protected.js'
import { Server } from './server.js'

export interface FuzzOptions {
  readonly requests: number
  readonly seed: number
  /** How many connections at once. */
  readonly connections: number
  /** Where the directory of the uploads is made. */
  readonly parent: string
  /** Whether the server speaks tus alone. Where it speaks both protocols, so does the fuzzer. */
  readonly tusOnly: boolean
  /** `fsync` or `none` */
  readonly durability: string
  /** Sends the requests of one connection up to this one, and no others. */
  readonly replay?: { readonly connection: number, readonly index: number }
  readonly onProgress?: (sent: number) => void
}

export interface FuzzReport {
  readonly seed: number
  readonly requests: number
  /** ms */
  readonly took: number
  readonly requestsPerSecond: number
  readonly statuses: Readonly<Record<string, number>>
  /** Uploads whose creation was never answered, removed on the way. */
  readonly orphans: number
  readonly memory: MemoryReport
  readonly descriptors: { readonly begin: number, readonly end: number }
  readonly violations: readonly Violation[]
}

/** Starts a server, asks it nonsense, and looks whether it is what it was. */
export async function fuzz (options: FuzzOptions): Promise<FuzzReport> {
  const directory = await mkdtemp(join(options.parent, 'fastify-tus-fuzz-'))
  const server = await (options.tusOnly ? Server.start(directory, options.durability) : Server.startApplication(directory, options.durability))
  try {
    return await new Fuzz(options, server, directory).run()
  } finally {
    await server.stop()
    await rm(directory, { recursive: true, force: true })
  }
}

class Fuzz {
  readonly #options: FuzzOptions
  readonly #server: Server
  readonly #directory: string
  readonly #keeper: Keeper
  readonly #memory = new Memory()
  readonly #violations: Violation[] = []
  readonly #pending = new Set<Promise<void>>()
  #clients: Client[] = []
  /** Uploads that nobody knows of, and since when: a time of `performance.now()`. */
  #suspects = new Map<string, number>()
  #orphans = 0
  #done = false

  constructor (options: FuzzOptions, server: Server, directory: string) {
    this.#options = options
    this.#server = server
    this.#directory = directory
    this.#keeper = new Keeper(server.port)
  }

  async run (): Promise<FuzzReport> {
    const { seed } = this.#options
    const { tusOnly } = this.#options
    const sockets = this.#server.countSockets()
    const victims = await createProtected(this.#keeper, this.#directory, tusOnly)
    // What is spoiled in tus may be right, by chance, in the words of the draft: that aims at others.
    const decoys = tusOnly ? victims : await createProtected(this.#keeper, this.#directory, tusOnly)
    this.#keeper.close()
    await until('the connections of the keeper are gone', () => this.#server.countSockets() <= sockets)
    const all = [...new Set([...victims, ...decoys])]
    const descriptors = this.#getDescriptors(all).length
    const listing = listDirectory(this.#directory)
    this.#clients = this.#makeClients(victims, decoys)

    const start = performance.now()
    const watch = setInterval(() => this.#watch(victims, all), 1000)
    const gone = this.#waitForExit()
    await Promise.race([Promise.all(this.#clients.map(client => client.run())), gone])
    const took = performance.now() - start
    clearInterval(watch)

    await this.#conclude(victims, all, listing)
    const requests = this.#countSent()
    const memory = this.#memory.report()
    if (requests >= WARM && memory.end - memory.begin > MOST_GROWTH) this.#fault(`memory grew from ${memory.begin} to ${memory.end} bytes`)
    const end = await this.#waitForDescriptors(all, descriptors)
    // From here on it may end.
    this.#done = true
    return {
      seed,
      requests,
      took: Math.round(took),
      requestsPerSecond: Math.round(requests / took * 1000),
      statuses: this.#sumStatuses(),
      orphans: this.#orphans,
      memory,
      descriptors: { begin: descriptors, end },
      violations: this.#violations
    }
  }

  #makeClients (victims: readonly Protected[], decoys: readonly Protected[]): Client[] {
    const { requests, connections, replay, seed } = this.#options
    const numbers = replay ? [replay.connection] : Array.from({ length: connections }, (_, connection) => connection)
    return numbers.map(connection => new Client({
      port: this.#server.port,
      seed,
      connection,
      count: replay ? replay.index + 1 : Math.ceil(requests / connections),
      directory: this.#directory,
      bilingual: !this.#options.tusOnly,
      victims,
      decoys,
      sample: (victim, violate) => this.#sample(victim, violate),
      report: violation => this.#report(violation)
    }))
  }

  #report (violation: Violation): void {
    if (this.#violations.length < MOST_VIOLATIONS) this.#violations.push(violation)
    else for (const client of this.#clients) client.stop()
  }

  #fault (message: string): void {
    this.#report({ connection: -1, index: -1, message, bytes: Buffer.alloc(0) })
  }

  #sample (victim: Protected, violate: (message: string) => void): void {
    const check = findChange(this.#keeper, this.#directory, victim).then(change => { if (change !== null) violate(change) }, error => violate(String(error)))
    this.#pending.add(check)
    check.finally(() => this.#pending.delete(check))
  }

  #watch (victims: readonly Protected[], all: readonly Protected[]): void {
    for (const client of this.#clients) client.checkHang(PATIENCE)
    this.#memory.note(this.#countSent(), this.#server.getMemory())
    this.#sample(victims[this.#countSent() % victims.length]!, message => this.#fault(message))
    const cleaning = this.#removeOrphans(all).catch(error => this.#fault(String(error)))
    this.#pending.add(cleaning)
    cleaning.finally(() => this.#pending.delete(cleaning))
    this.#options.onProgress?.(this.#countSent())
  }

  /** Removes what nobody has known for so many ms, and no answer that is awaited can tell of: its creation was cut before the answer. */
  async #removeOrphans (victims: readonly Protected[], age = 5000): Promise<void> {
    const isKnown = (id: string) => victims.some(victim => victim.id === id) || this.#clients.some(client => client.ids.includes(id))
    const unknown = listDirectory(this.#directory).filter(name => name.endsWith('.json')).map(name => name.slice(0, -5)).filter(id => !isKnown(id))
    const now = performance.now()
    this.#suspects = new Map(unknown.map(id => [id, this.#suspects.get(id) ?? now]))
    for (const [id, since] of this.#suspects) {
      if (now - since < age || this.#clients.some(client => client.waitsSince < since)) continue
      // Its answer may have come in the meantime.
      if (!isKnown(id) && await this.#keeper.remove(id) === 204) this.#orphans++
    }
  }

  async #waitForExit (): Promise<void> {
    await this.#server.exited
    if (!this.#done) this.#fault(`the server ended: ${this.#server.exit}`)
  }

  /** When nobody asks any more, all that is left is what was there before. */
  async #conclude (victims: readonly Protected[], all: readonly Protected[], listing: readonly string[]): Promise<void> {
    if (this.#server.exit !== null) return
    await Promise.all(this.#pending)
    for (const id of this.#clients.flatMap(client => client.ids)) await this.#keeper.remove(id)
    await this.#removeOrphans(all, 0)
    for (const victim of victims) {
      const change = await findChange(this.#keeper, this.#directory, victim)
      if (change !== null) this.#fault(change)
    }
    const left = listDirectory(this.#directory).filter(name => !listing.includes(name))
    if (left.length > 0) this.#fault(`left in the directory: ${left.slice(0, 10).join(' ')} (${left.length})`)
    const lost = this.#clients.reduce((sum, client) => sum + client.lost, 0)
    if (this.#orphans > lost) this.#fault(`${this.#orphans} uploads were created by requests that were refused, or never sent; only ${lost} had no answer`)
    if (this.#server.log !== '') this.#fault(`the server logged: ${this.#server.log}`)
  }

  async #waitForDescriptors (victims: readonly Protected[], begin: number): Promise<number> {
    this.#keeper.close()
    await until('no descriptor is left', () => this.#getDescriptors(victims).length <= begin, PATIENCE).catch(() => {})
    const end = this.#getDescriptors(victims)
    if (end.length > begin && this.#server.exit === null) this.#fault(`${end.length - begin} descriptors more than the ${begin} before: ${end.join(' ')}`)
    return end.length
  }

  /** Without those of the protected uploads, which the storage keeps open for a while if they were asked for. */
  #getDescriptors (victims: readonly Protected[]): string[] {
    return this.#server.getDescriptors().filter(target => !victims.some(({ id }) => target.endsWith(id)))
  }

  #countSent (): number {
    return this.#clients.reduce((sum, { sent }) => sum + sent, 0)
  }

  #sumStatuses (): Record<string, number> {
    const sums = new Map<string, number>()
    for (const { statuses } of this.#clients) for (const [status, count] of statuses) sums.set(status, (sums.get(status) ?? 0) + count)
    return Object.fromEntries([...sums].sort(([one], [other]) => one < other ? -1 : 1))
  }
}

/** After so many it is no use to go on. */
const MOST_VIOLATIONS = 50
/** What memory may grow by once it is warm, in bytes; and after how many requests that can be told. */
const MOST_GROWTH = 48 * 1024 * 1024
const WARM = 100_000
/** How long an answer, or the end of a connection, may take, in ms. */
const PATIENCE = 60_000
