import type { Reply } from './replies.js'

/** What no answer may be or hold, whatever was asked; `null` if it is none of that. */
export function inspectReply ({ status, head, body }: Reply, directory: string): string | null {
  if (status >= 500 || !(status >= 200)) return `an answer of ${status}`
  if (INJECTED.test(head)) return 'a header that a client chose'
  if (status < 400) return null
  const text = head + body.toString('latin1')
  return INTERNAL.test(text) || text.includes(directory) ? 'an answer that shows what is inside' : null
}

/** The same for all that came back where nobody can tell which bytes belong to what. */
export function inspectWild (bytes: Buffer, directory: string): string | null {
  const text = bytes.toString('latin1')
  const status = /HTTP\/1\.1 (5\d\d)/.exec(text)
  if (status) return `an answer of ${status[1]}`
  if (text.includes(directory)) return 'an answer that shows what is inside'
  return INJECTED.test(text) ? 'a header that a client chose' : null
}

const INJECTED = /^(?:x-injected|set-cookie):/im
/** Paths, stacks, and the words of Node for errors of the system. */
const INTERNAL = /node_modules|node:internal|\n +at |\/dist\/|\.[cm]?[jt]s:\d|\b(?:ENOENT|EACCES|EISDIR|ENOTDIR|ENAMETOOLONG|EINVAL|ERR_[A-Z_]{3,})\b|(?:Type|Range|Syntax|URI)Error|undefined|Cannot read/
