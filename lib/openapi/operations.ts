import type { Answered, Said, VerbName, Wording } from '../protocols/wording.js'
import { FIELDS } from './fields.js'

/** An object of the OpenAPI document. */
export type Json = Readonly<Record<string, unknown>>

/** What every operation has, and the application decides. */
export interface Labels {
  readonly tags: readonly string[]
  readonly security?: readonly Json[] | undefined
}

/**
 * One operation of the document: what each protocol that has it says. What is not required in all of them is required in none, because a document has no words
 * for "if".
 *
 * @param without the content of errors, for HEAD
 */
export function describeOperation (verb: VerbName, wordings: readonly Wording[], labels: Labels): Json | null {
  const spoken = wordings.flatMap(wording => {
    const said = wording.verbs[verb]
    return said === undefined ? [] : [{ wording, said }]
  })
  if (spoken.length === 0) return null
  const content = spoken.flatMap(({ said }) => said.content)
  return {
    ...labels,
    summary: SUMMARIES[verb],
    parameters: describeParameters(spoken),
    ...content.length > 0 && { requestBody: { required: spoken.every(({ said }) => said.needsContent), content: Object.fromEntries(content.map(type => [type, { schema: BYTES }])) } },
    responses: describeResponses(verb, spoken)
  }
}

interface Spoken {
  readonly wording: Wording
  readonly said: Said
}

function describeParameters (spoken: readonly Spoken[]): Json[] {
  const names = new Set(spoken.flatMap(({ said }) => [...said.required, ...said.optional]))
  return [...names].map(name => {
    const by = spoken.filter(({ said }) => said.required.includes(name) || said.optional.includes(name))
    const { description, schema } = FIELDS[name]!
    return {
      name,
      in: 'header',
      description: by.length < spoken.length ? `${description} (${by.map(({ wording }) => wording.name).join(', ')})` : description,
      required: spoken.every(({ said }) => said.required.includes(name)),
      schema
    }
  })
}

function describeResponses (verb: VerbName, spoken: readonly Spoken[]): Json {
  const statuses = new Set(spoken.flatMap(({ said }) => Object.keys(said.answers).map(Number)))
  return Object.fromEntries([...statuses].sort((a, b) => a - b).map(status => {
    const answers = spoken.flatMap(({ wording, said }) => said.answers[status] ? [{ wording, answered: said.answers[status] }] : [])
    return [status, {
      ...describeAnswer(answers.map(({ answered }) => answered)),
      ...status >= 400 && verb !== 'inspect' && { content: Object.fromEntries(answers.map(({ wording: { error } }) => [error.type, { schema: { $ref: `#/components/schemas/${error.schema}` } }])) }
    }]
  }))
}

/** A description, and the header fields that are there in some cases at least. */
export function describeAnswer (answers: readonly Answered[]): Json {
  const names = new Set(answers.flatMap(({ fields }) => fields))
  return {
    description: [...new Set(answers.map(({ says }) => says))].join('; '),
    ...names.size > 0 && { headers: Object.fromEntries([...names].map(name => [name, FIELDS[name]])) }
  }
}

/** A file, as it is. */
export const BYTES = { type: 'string', format: 'binary' }

/** The errors that {@link describeOperation} refers to. */
export const SCHEMAS: Json = {
  FastifyTusError: {
    type: 'object',
    description: 'An error; the application may give it another form',
    required: ['statusCode', 'message'],
    properties: { statusCode: { type: 'integer' }, code: { type: 'string' }, error: { type: 'string' }, message: { type: 'string' } }
  },
  FastifyTusProblem: {
    type: 'object',
    description: 'A problem (RFC 9457); the application may give it another form',
    required: ['title', 'status'],
    properties: {
      type: { type: 'string', format: 'uri-reference' },
      title: { type: 'string' },
      status: { type: 'integer' },
      code: { type: 'string' },
      'expected-offset': { type: 'integer' },
      'provided-offset': { type: 'integer' }
    }
  }
}

const SUMMARIES: Readonly<Record<VerbName, string>> = {
  offer: 'What the server offers',
  create: 'Create an upload',
  inspect: 'How much of an upload is there',
  append: 'Go on with an upload',
  terminate: 'Remove an upload'
}
