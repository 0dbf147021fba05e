/**
 * What a version of the draft says differently. The number is the one of `Upload-Draft-Interop-Version`; the standard to be has none.
 *
 * @see the table of versions in `docs/spec/ietf-checklist.md`
 */
export interface Version {
  readonly interop: number | null
  /** The header that tells whether an upload is complete, and whether it says so or the contrary. */
  readonly completeness: 'upload-complete' | 'upload-incomplete'
  /** What a PATCH that does not say whether it is the last one means; `null`: it has to. */
  readonly silence: 'complete' | null
  /** A PATCH is of the type `application/partial-upload`, and of no other. */
  readonly hasMediaType: boolean
  /** The key of `Upload-Limit` that tells how long an upload stays; `null` where the version has no limits to tell. */
  readonly lifetime: 'expires' | 'max-age' | null
  /** Interim responses tell the progress, and not only where the upload is. */
  readonly hasProgress: boolean
  /** `Upload-Offset` and the completeness may not be in a HEAD or DELETE. */
  readonly isStrict: boolean
  /** The answer to HEAD may tell the length. */
  readonly tellsLength: boolean
  /** The status of an append that leaves the upload incomplete. */
  readonly appended: 201 | 204
  /**
   * An upload is complete at its length, also if nobody says so: tus-js-client 4 sends the rest of a file with `Upload-Complete: ?0` after an interruption, and takes
   * it for done when the offset is the length.
   */
  readonly endsAtLength: boolean
  /** The status of HEAD while an upload can't be told of: tus-js-client speaks this version, and begins again after a 503. */
  readonly headAway: 423 | null
  /** The problem type of an append to a complete upload, while there was one. */
  readonly hasCompletedProblem: boolean
}

/** The newest number that is known. What has a greater one is taken for the standard to be, too. */
const LATEST = 9

const CURRENT: Version = {
  interop: null,
  completeness: 'upload-complete',
  silence: null,
  hasMediaType: true,
  lifetime: 'max-age',
  hasProgress: true,
  isStrict: false,
  tellsLength: true,
  appended: 204,
  endsAtLength: false,
  headAway: null,
  hasCompletedProblem: false
}

export const KNOWN_VERSIONS: readonly Version[] = [
  // draft -01: iOS 17, macOS 14
  { ...CURRENT, interop: 3, completeness: 'upload-incomplete', silence: 'complete', hasMediaType: false, lifetime: null, hasProgress: false, isStrict: true, tellsLength: false, appended: 201 },
  // draft -03: iOS 18.0, tus-js-client `ietf-draft-03`
  { ...CURRENT, interop: 5, hasMediaType: false, lifetime: null, endsAtLength: true, headAway: 423, isStrict: true, appended: 201 },
  // drafts -04 and -05: iOS 18.1, tus-js-client `ietf-draft-05`
  { ...CURRENT, interop: 6, lifetime: 'expires', endsAtLength: true, headAway: 423, hasCompletedProblem: true, isStrict: true, appended: 201 },
  // drafts -09 to -11
  { ...CURRENT, interop: 8 },
  // drafts -12 and later
  { ...CURRENT, interop: LATEST }
]

/** The standard to be, and what clients send of its drafts, by the value of their header. */
export const CURRENT_VERSION = CURRENT
const VERSIONS_BY_HEADER: ReadonlyMap<string, Version> = new Map(KNOWN_VERSIONS.map(version => [String(version.interop), version]))

/**
 * The version that a client of this number speaks. One that never was known is the standard to be without a number, so without interim responses (IV-1);
 * a later one is the same with its own number.
 */
export function findVersion (interop: string): Version {
  const known = VERSIONS_BY_HEADER.get(interop)
  if (known) return known
  const number = /^[1-9]\d{0,8}$/.test(interop) ? Number(interop) : 0
  return number > LATEST ? { ...CURRENT, interop: number } : CURRENT
}
