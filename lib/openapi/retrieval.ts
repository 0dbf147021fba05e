import { list, refuseWith, type Answered, type Wording } from '../protocols/wording.js'
import { FIELDS } from './fields.js'
import { BYTES, describeAnswer, describeOperation, type Json, type Labels } from './operations.js'

/** What decides about GET and HEAD. */
export interface Retrieval {
  readonly wordings: readonly Wording[]
  /** Those of them in which GET may ask for the offset. */
  readonly asking: readonly Wording[]
  readonly download: boolean
  readonly expires: boolean
}

/** GET: the file, and, in a protocol that asks for the offset by it, that. */
export function describeRetrieval ({ wordings, asking, download, expires }: Retrieval, labels: Labels): Json | null {
  const asked = asking.flatMap(({ verbs: { inspect } }) => inspect ? [inspect] : [])
  if (!download && asked.length === 0) return null
  const own = getOwn({ wordings, asking })
  const answers: Record<number, Answered> = {
    ...Object.assign({}, ...asked.map(({ answers }) => answers)),
    ...refuseWith([404, expires && 410, 412, 416, 423, 500, 503], list('Cache-Control', ...own, asked.length > 0 && 'Upload-Complete', expires && 'Upload-Expires'), { 412: own.length > 0 ? ['Tus-Version'] : [], 416: ['Content-Range'] }),
    ...download && describeFile(own, asking)
  }
  const content = Object.fromEntries([...wordings.map(({ error }) => error), PLAIN].map(({ type, schema }) => [type, { schema: { $ref: `#/components/schemas/${schema}` } }]))
  return {
    ...labels,
    summary: download ? 'Download a complete upload' : 'How much of an upload is there',
    parameters: [...download ? CONDITIONS : [], ...asked.flatMap(({ optional }) => optional)].map(name => ({ name, in: 'header', required: false, ...FIELDS[name] })),
    responses: Object.fromEntries(Object.entries(answers).map(([status, answered]) => {
      return [status, { ...describeAnswer([answered]), ...BODIES.has(status) && { content: { '*/*': { schema: BYTES } } }, ...Number(status) >= 400 && { content } }]
    }))
  }
}

/** HEAD: what a protocol tells of an upload, and, in plain HTTP, what describes the file. */
export function describeInspection ({ wordings, asking, download, expires }: Retrieval, labels: Labels): Json | null {
  if (!download) return describeOperation('inspect', wordings, labels)
  const own = getOwn({ wordings, asking })
  const { 206: _part, ...answers } = describeFile(own, asking)
  const inspect = {
    required: [],
    optional: CONDITIONS.filter(name => !/Range/.test(name)),
    content: [],
    needsContent: false,
    answers: { ...answers, ...refuseWith([404, expires && 410, 412, 500, 503], list('Cache-Control', ...own, expires && 'Upload-Expires'), {}) }
  }
  return describeOperation('inspect', [...wordings, { name: 'plain HTTP', error: PLAIN, verbs: { inspect } }], labels)
}

function getOwn ({ wordings, asking }: Pick<Retrieval, 'wordings' | 'asking'>): string[] {
  return list(wordings.length > asking.length && 'Tus-Resumable')
}

/** An upload of the draft tells its offset beside. */
function describeFile (own: readonly string[], asking: readonly Wording[]): Record<number, Answered> {
  const offset = asking.flatMap(({ verbs: { inspect } }) => inspect?.answers[204]?.fields ?? [])
  const always = [...own, 'Cache-Control', 'ETag', 'Last-Modified', 'X-Content-Type-Options', 'Content-Security-Policy']
  const whole = [...new Set([...always, ...offset, 'Accept-Ranges', 'Content-Disposition', 'Content-Encoding'])]
  return {
    200: { says: 'The file', fields: whole },
    206: { says: 'The part of the file that was asked for', fields: [...whole, 'Content-Range'] },
    304: { says: 'The client has it', fields: always }
  }
}

const CONDITIONS = ['Range', 'If-Range', 'If-Match', 'If-None-Match', 'If-Modified-Since', 'If-Unmodified-Since']
const BODIES: ReadonlySet<string> = new Set(['200', '206'])
/** A download that fails speaks no protocol. */
const PLAIN = { type: 'application/json', schema: 'FastifyTusError' }
