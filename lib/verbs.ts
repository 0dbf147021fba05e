import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Readable } from 'node:stream'
import { closeWithConnection } from './connection.js'
import type { Context } from './context.js'
import { replay } from './kept-answer.js'
import { append } from './operations/append.js'
import type { Completion } from './operations/complete.js'
import { create } from './operations/create.js'
import { checkReadable, findComplete, openDownload } from './operations/download.js'
import type { Exchange } from './operations/exchange.js'
import { checkAccess, find } from './operations/find.js'
import { inspect } from './operations/inspect.js'
import { terminate } from './operations/terminate.js'
import type { Answer, Described, Message, Offer, Protocol } from './protocols/protocol.js'
import { encodeOffers, selectRetrieval } from './protocols/select.js'
import { selectRepresentation } from './representation.js'
import { checkUntouched, getSource } from './untouched-body.js'
import type { Upload } from './upload.js'

/** One request on its way through: what the verbs below work with. */
export interface Call {
  readonly context: Context
  readonly protocol: Protocol
  readonly offer: Offer
  readonly message: Message
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly exchange: Exchange
  readonly describe: (upload: Upload) => Described
  /** The id that the path names; empty for the collection. */
  readonly id: string
}

/** `null`: the application has answered by itself. */
export type Verb = (call: Call) => Promise<Answer & { readonly stream?: Readable } | null>
export type Verbs = Readonly<Record<string, Verb>>

export function getCollectionVerbs ({ options }: Context): Verbs {
  return {
    OPTIONS: describe,
    ...options.extensions.has('creation') && { POST: post }
  }
}

export function getResourceVerbs ({ options, storage }: Context): Verbs {
  return {
    OPTIONS: describe,
    HEAD: head,
    PATCH: patch,
    ...options.extensions.has('termination') && { DELETE: remove },
    ...options.download && storage.read && { GET: get }
  }
}

export const describe: Verb = async ({ context, message, offer }) => encodeOffers(message, offer, context.options.protocols)

export const post: Verb = async call => {
  const { context, protocol, offer, message, request, reply, exchange } = call
  const command = protocol.decodeCreate(message, offer)
  if (command.body !== null && command.body.declared !== 0) checkUntouched(getSource(request))
  const completion = await create(context, command, exchange).catch(error => {
    // The upload is there, and only its completion was refused: the client must be able to try that again.
    if (request.upload && command.resumable) reply.header('location', call.describe(request.upload).locate())
    throw error
  })
  return answer(call, completion, described => protocol.encodeCreated(described, command.body !== null))
}

const head: Verb = async call => {
  const { context, protocol, message, exchange, id } = call
  // In the draft a GET asks for the offset, too.
  if (message.method === 'GET') await checkReadable(context, id)
  const completion = await inspect(context, id, exchange)
  exchange.see(completion.upload)
  return completion.answered ? null : withDecision(protocol.encodeInspected(call.describe(completion.upload)), completion)
}

const patch: Verb = async call => {
  const { context, protocol, offer, message, request, exchange, id } = call
  const command = await decode(() => protocol.decodeAppend(message, offer), context, id, exchange)
  if (command.declared !== 0) checkUntouched(getSource(request))
  return answer(call, await append(context, id, command, exchange), described => protocol.encodeAppended(described))
}

/** What the application has said of a complete upload, now or before, comes before what the protocol has to say. */
function answer ({ protocol, exchange, describe }: Call, completion: Completion, encode: (described: Described) => Answer): Answer | null {
  const { upload, answered } = completion
  exchange.see(upload)
  if (answered) return null
  const kept = upload.purpose?.answer
  return kept ? replay(protocol.encodeAnswered(describe(upload), kept), kept) : withDecision(encode(describe(upload)), completion)
}

/** A request that can't be understood is answered with what every answer about this upload tells, unless the application has a say in who may know. */
async function decode<Command> (read: () => Command, context: Context, id: string, exchange: Exchange): Promise<Command> {
  try {
    return read()
  } catch (error) {
    if (!context.hooks.has('preAccess')) exchange.see(await find(context, id))
    throw error
  }
}

const remove: Verb = async ({ context, protocol, exchange, id }) => {
  await checkAccess(context, id, 'terminate', exchange)
  exchange.see(await terminate(context, id, exchange))
  return protocol.encodeTerminated()
}

const get: Verb = async call => {
  const { context, request, exchange, id } = call
  const upload = await findComplete(context, id, exchange).catch(error => {
    const protocol = selectRetrieval(error, request.upload, call.message, context.options.protocols)
    if (protocol === null) throw error
    return protocol
  })
  if ('encodeInspected' in upload) return head({ ...call, protocol: upload })
  const { status, headers, range } = selectRepresentation(upload, request.headers)
  return { status, headers, ...range && { stream: closeWithConnection(await openDownload(context, id, range), request.raw) } }
}

/** What `preFinish` returned goes out with the response; a body needs a status that may have one. */
function withDecision (answer: Answer, { decision: { headers, body } }: Completion): Answer {
  if (headers === undefined && body === undefined) return answer
  return {
    ...answer,
    ...body !== undefined && { status: answer.status === 204 ? 200 : answer.status, body },
    headers: { ...answer.headers, ...headers }
  }
}
