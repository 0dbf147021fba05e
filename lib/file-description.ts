import contentDisposition from 'content-disposition'
import type { Metadata } from './upload.js'

/** What can be said of a file to whoever reads it. */
export interface FileDescription {
  /** A media type. */
  readonly type: string
  readonly name: string | undefined
}

/**
 * Type and name as the client gave them, where that is safe: a stranger's file must never run as a page of the origin that serves it.
 *
 * Uppy says `type` and `name`, tus-js-client's examples `filetype` and `filename`.
 */
export function describeFile (metadata: Metadata): FileDescription {
  const name = metadata.filename ?? metadata.name
  return { type: chooseType(metadata.filetype ?? metadata.type), name: name && cleanName(name) }
}

/**
 * For whoever serves the file without this plugin, such as a bucket: a browser saves it, whatever it is. All in ASCII, as headers of requests that are
 * signed have to be.
 */
export function describeAttachment (metadata: Metadata): { readonly type: string, readonly disposition: string } {
  const { type, name } = describeFile(metadata)
  const options = { type: 'attachment' as const }
  return { type, disposition: contentDisposition(name, name === undefined ? options : { ...options, fallback: name.replace(/[^ -~]/g, '?') }) }
}

/** No longer than a file system takes names, and without what a header can't hold or what shows a name as another: `exe.fdp` written from right to left. */
function cleanName (name: string): string {
  const characters = [...name.replace(CONTROLS, '_')]
  if (characters.length <= LONGEST_NAME) return characters.join('')
  const [extension = ''] = /\.[A-Za-z0-9]{1,16}$/.exec(name) ?? []
  return characters.slice(0, LONGEST_NAME - extension.length).join('') + extension
}

function chooseType (type: string | undefined): string {
  return type !== undefined && MEDIA_TYPE.test(type) && !ACTIVE.test(type) ? type : 'application/octet-stream'
}

// eslint-disable-next-line no-control-regex -- those are the ones that a header can't hold
const CONTROLS = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\p{Surrogate}]/gu
const LONGEST_NAME = 255
const MEDIA_TYPE = /^[a-z0-9][\w.+-]{0,126}\/[a-z0-9][\w.+-]{0,126}(?:; ?charset=(?:utf-8|us-ascii|iso-8859-\d{1,2}|windows-125\d))?$/i
/** What a browser would run or interpret: markup, scripts, style sheets, messages made of parts, programs. */
const ACTIVE = /html|xml|xsl|svg|script|css|wasm|flash|multipart|message|mhtml|mimearchive|cache-manifest|component|webbundle|signed-exchange|hta\b|java|xpinstall/i
