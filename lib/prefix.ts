/**
 * The prefix of the routes as Fastify's router compares it: decoded, without a slash at the end; the root is the empty string. It may have
 * parameters, each a whole name after a colon: `/t/:tenant/files`. `::` is a colon.
 *
 * `null` for what no request would reach, or under another URL than the one that its client is told: anything but a path, wildcards, optional
 * parameters, expressions, empty and dot segments, control characters, and escapes that the router does not decode (`%2F`). And for one of parameters
 * alone (`/:id`), which would take the other routes of the application.
 */
export function normalizePrefix (prefix: string): string | null {
  if (!prefix.startsWith('/') || SPACE.test(prefix) || RESERVED_ESCAPE.test(prefix)) return null
  const path = decode(prefix)?.replace(/\/+$/, '') ?? null
  if (path === null || FORBIDDEN.test(path) || hasRepeatedParameter(path)) return null
  const segments = path.split('/').slice(1)
  const isWhole = segments.length === 0 || segments.some(segment => !segment.replaceAll('::', '').includes(':'))
  return isWhole && segments.every(segment => SEGMENT.test(segment) && !/^\.{1,2}$/.test(segment)) ? path : null
}

/** Whether two parameters of a path have one name: only the last of them would count. Where a scope has expressions in its prefix, that is its own concern. */
export function hasRepeatedParameter (path: string): boolean {
  const names = path.includes('(') ? [] : path.replaceAll('::', '').match(/:[^/().?*-]+/g) ?? []
  return new Set(names).size < names.length
}

/** The same in the form of a URL. */
export function encodePrefix (prefix: string): string {
  const known = encoded.get(prefix)
  if (known !== undefined) return known
  const path = encodeURI(prefix)
  encoded.set(prefix, path)
  return path
}

function decode (path: string): string | null {
  try {
    const decoded = decodeURI(path)
    // Half a character has no place in a URL.
    encodeURI(decoded)
    return decoded
  } catch {
    return null
  }
}

/** One for each place where routes are. */
const encoded = new Map<string, string>()
const SPACE = /\s/
/** `# $ & + , / : ; = ? @` stay as they are in a path that the router has decoded. */
const RESERVED_ESCAPE = /%(?:2[346BCF]|3[ABDF]|40)/i
const FORBIDDEN = /[?#*\\\p{Cc}]/u
/** A name ends where the router has it end, and no expression follows it. */
const SEGMENT = /^(?:::|[^:]|:[^:().?*-]+(?=[-.]|$))+$/
