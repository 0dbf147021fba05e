import { digestOf } from './grammar.js'
import type { Random } from './random.js'
import type { Header } from './request.js'
import { CONTENT } from './slot.js'

/** The content of one request, and what is said of it. */
export interface DraftBody {
  readonly bytes: Buffer | null
  /** 0 for a declared length. */
  readonly chunks: number
  readonly isChunked: boolean
  readonly digest: 'none' | 'right' | 'wrong' | 'malformed'
  readonly headers: readonly Header[]
}

export function drawBody (random: Random, offset: number, size: number): DraftBody {
  const bytes = size === 0 && random.chance(0.5) ? null : CONTENT.subarray(offset, offset + size)
  const chunks = bytes !== null && random.chance(0.3) ? 1 + random.int(4) : 0
  const digest = random.weigh({ none: 70, right: 18, wrong: 8, malformed: 4 })
  const headers: Header[] = random.chance(0.05) && bytes !== null ? [['Expect', '100-continue']] : []
  return { bytes, chunks, isChunked: chunks > 0, digest, headers: [...headers, ...describe(random, bytes ?? EMPTY, digest)] }
}

/** Digests of the whole: those that a request gives or asks for. */
export interface Digests {
  readonly headers: readonly Header[]
  readonly known: ReadonlyMap<string, string | null>
  /** What an upload knows with these; `null` if they contradict what it knows. */
  readonly join: (known: ReadonlyMap<string, string | null>) => ReadonlyMap<string, string | null> | null
}

/** @param whole how long it is; `null` if nobody knows yet: then none is right */
export function drawDigests (random: Random, whole: number | null): Digests {
  const kind = random.weigh({ none: 80, right: 7, wrong: 3, wanted: 8, both: 2 })
  const [one, other] = random.chance(0.5) ? ['sha-256', 'sha-512'] as const : ['sha-512', 'sha-256'] as const
  const value = kind === 'wrong' || whole === null || whole > CONTENT.length ? digestOf(one, Buffer.from('another')) : digestOf(one, CONTENT.subarray(0, whole))
  const given: Array<[string, string]> = kind === 'none' || kind === 'wanted' || (whole === null && kind !== 'wrong') ? [] : [[one, value]]
  const wanted: Array<[string, null]> = kind === 'wanted' || kind === 'both' ? [[other, null]] : []
  const said = new Map<string, string | null>([...wanted, ...given])
  return {
    headers: [...given.map(([name, digest]): Header => ['Repr-Digest', `${name}=:${digest}:`]), ...wanted.map(([name]): Header => ['Want-Repr-Digest', `${name}=${1 + random.int(10)}, md5=0`])],
    known: said,
    join: known => join(known, said)
  }
}

function join (known: ReadonlyMap<string, string | null>, said: ReadonlyMap<string, string | null>): ReadonlyMap<string, string | null> | null {
  const all = new Map(known)
  for (const [name, digest] of said) {
    const before = known.get(name)
    if (digest !== null && typeof before === 'string' && before !== digest) return null
    if (digest !== null || before === undefined) all.set(name, digest)
  }
  return all
}

function describe (random: Random, bytes: Buffer, digest: DraftBody['digest']): Header[] {
  const name = random.pick(['sha-256', 'sha-512'])
  switch (digest) {
    case 'none': return []
    case 'right': return [['Content-Digest', `${random.chance(0.2) ? 'md5=:eA==:, ' : ''}${name}=:${digestOf(name, bytes)}:`]]
    case 'wrong': return [['Content-Digest', `${name}=:${digestOf(name, Buffer.concat([bytes, CONTENT]))}:`]]
    case 'malformed': return [['Content-Digest', random.pick(MALFORMED)(name)]]
    default: return digest satisfies never
  }
}

const EMPTY = Buffer.alloc(0)
const MALFORMED: ReadonlyArray<(name: string) => string> = [name => `${name}=:eA==:`, name => `${name}=`, name => `${name}="x"`, name => name, name => `${name}=(:eA==:)`, () => '=:eA==:', name => `${name}=:====:`, name => `${name}=:eA==:,`, name => `${name}=:${'A'.repeat(3000)}:`]
