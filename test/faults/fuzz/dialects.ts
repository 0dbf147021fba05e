import type { Random } from './random.js'
import type { Header } from './request.js'

/** What a version of the draft says in its own way. */
export interface Dialect {
  /** `null` says no version at all, as the standard to be. */
  readonly interop: string | null
  readonly flag: 'Upload-Complete' | 'Upload-Incomplete'
  /** A PATCH that does not say whether it is the last one is the last one. */
  readonly isSilentEnd: boolean
  readonly isTyped: boolean
  readonly endsAtLength: boolean
  readonly tellsLimit: boolean
  readonly tellsLength: boolean
  /** The status of an append that leaves the upload incomplete. */
  readonly appended: 201 | 204
  /** A version of which there are interim responses. */
  readonly hasInterim: boolean
}

const CURRENT: Dialect = { interop: null, flag: 'Upload-Complete', isSilentEnd: false, isTyped: true, endsAtLength: false, tellsLimit: true, tellsLength: true, appended: 204, hasInterim: false }

export const DIALECTS: readonly Dialect[] = [
  { ...CURRENT, interop: '3', flag: 'Upload-Incomplete', isSilentEnd: true, isTyped: false, tellsLimit: false, tellsLength: false, appended: 201, hasInterim: true },
  { ...CURRENT, interop: '5', isTyped: false, endsAtLength: true, tellsLimit: false, appended: 201, hasInterim: true },
  { ...CURRENT, interop: '6', endsAtLength: true, appended: 201, hasInterim: true },
  { ...CURRENT, interop: '8', hasInterim: true },
  CURRENT,
  ...['9', '10', '999999999'].map(interop => ({ ...CURRENT, interop, hasInterim: true })),
  // What nobody knows is the standard to be.
  ...['7', '09', '', '8;x', '08', '8, 8', '"8"', '?1', '999999999999999999', '\xff', 'x'.repeat(500)].map(interop => ({ ...CURRENT, interop }))
]

/** The known ones most of the time. */
export function chooseDialect (random: Random): Dialect {
  return random.chance(0.85) ? DIALECTS[random.int(5)]! : random.pick(DIALECTS)
}

export function formatVersion ({ interop }: Dialect): Header[] {
  return interop === null ? [] : [['Upload-Draft-Interop-Version', interop]]
}

/** Whether this brings the end, as an item of a structured field that is right in any of its forms. */
export function formatEnd (random: Random, { flag }: Dialect, isEnd: boolean): Header {
  return [flag, `?${Number(flag === 'Upload-Complete' ? isEnd : !isEnd)}${formatParameters(random)}`]
}

/** What an answer says of the end. */
export function formatTold ({ flag }: Dialect, isEnd: boolean): string {
  return `?${Number(flag === 'Upload-Complete' ? isEnd : !isEnd)}`
}

export function formatCount (random: Random, count: number): string {
  const zeros = random.chance(0.05) ? '0'.repeat(15 - String(count).length) : ''
  return `${count === 0 && random.chance(0.05) ? '-' : ''}${zeros}${count}${formatParameters(random)}`
}

function formatParameters (random: Random): string {
  return random.chance(0.85) ? '' : random.pick([';a', ';a=1', '; a="x\\"y"', ';a=?0;b=:eA==:', ';a=1.5', ';*=t/k:n', ';a=@1', ';a=%"%c3%bc"', ';a;a;a', `;a${';b'.repeat(300)}`, ' ', '\t'])
}

/** No boolean, no whole number that counts: the header is as good as absent. */
export const NO_BOOLEANS = ['', '1', '0', 'true', '?2', '?', '??1', '?1, ?1', '?0, ?1', '?1;', '?1;A', '?1 ;a', '"?1"', '(?1)', '?1?1', '?01', '?1;a=', '?1;a="', '?T', ':eA==:', '@1', '%"1"', '\xa0?1', '?1\xff', 'x'.repeat(2000), ';'.repeat(500)]
export const NO_COUNTS = [
  '', '5.0', '0.0', '"5"', '-1', '5, 5', '5 5', '1e1', '+5', '0x1', '9999999999999999', '5;', '5;A', '(5)', '\xa05', '@5', ':NQ==:', '?1', 'five', '5.', '.5', '--5', '5-', '1_000', 'NaN', 'Infinity', '%"5"', '0'.repeat(16), '9'.repeat(3000), '18446744073709551616',
  '-999999999999999', '5;a=', '5;a="x', '*', '5\xff'
]
export const DIGESTS = [
  '', 'sha-256', 'sha-256=', 'sha-256=?1', 'sha-256=:eA==:', 'sha-256=:====:', 'sha-256=:', 'sha-256="eA=="', 'sha-256=eA==', 'SHA-256=:eA==:', 'sha-256=(:eA==:)', 'sha-256=:eA==:,', ', sha-256=:eA==:', 'md5=:eA==:', 'crc32c=:AAAAAA==:', 'sha-512=:eA==:',
  'sha-256=:\xff:', 'sha-256=1', '__proto__=:eA==:', 'constructor', 'sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:', 'sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU:', 'sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:;a=1',
  'sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:, sha-256=:AAAA:', `sha-256=:${'A'.repeat(4000)}:`, `${'a=1, '.repeat(800)}b`, 'unixsum=(1 2 3);x', 'sha-256=('
]
export const WISHES = ['', 'sha-256=10', 'sha-512=1, sha-256=1', 'sha-256=0', 'sha-256=11', 'sha-256=-1', 'sha-256', 'sha-256=?1', 'sha-256=5.5', 'sha-256=9999999999999999', 'md5=10', 'sha-256=10, ', 'sha-512=3;a', 'sha-256=(1 2)', '__proto__=5', `${'a=1, '.repeat(800)}sha-256=3`]
