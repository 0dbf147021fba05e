/**
 * Bytes in `5GB`, `8MiB`, `1.5 gib`, `1024`; decimal units are powers of 1000, binary ones of 1024.
 * `null` if it is no size.
 */
export function parseSize (text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgt])(i)?)?b?$/i.exec(text.trim())
  if (!match) return null
  const [, number, prefix = '', binary] = match
  const size = Math.round(Number(number) * (binary ? 1024 : 1000) ** (' kmgt'.indexOf(prefix.toLowerCase() || ' ')))
  return Number.isSafeInteger(size) ? size : null
}

/** Milliseconds in `24h`, `30s`, `1.5d`, `500ms`; a bare number is seconds. `null` if it is no duration. */
export function parseDuration (text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?$/i.exec(text.trim())
  if (!match) return null
  const duration = Math.round(Number(match[1]) * UNITS[(match[2] ?? 's').toLowerCase() as keyof typeof UNITS])
  return Number.isSafeInteger(duration) ? duration : null
}

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `12.3 MB`: bytes for a person, in powers of 1000. */
export function formatBytes (bytes: number): string {
  const power = bytes < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3))
  return power === 0 ? `${Math.round(bytes)} B` : `${(bytes / 1000 ** power).toFixed(1)} ${' kMGT'[power]}B`
}

/** `0:42` or `1:02:03`: seconds for a person, rounded up. */
export function formatTime (seconds: number): string {
  const whole = Math.ceil(seconds)
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60]
  const rest = String(whole % 60).padStart(2, '0')
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`
}
