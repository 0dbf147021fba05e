import type { FastifyReply, FastifyRequest } from 'fastify'
import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import { closeWithConnection, drop } from './connection.js'
import type { Context } from './context.js'
import { TusError } from './errors.js'
import { replay } from './kept-answer.js'
import { append } from './operations/append.js'
import type { Completion } from './operations/complete.js'
import { create } from './operations/create.js'
import { checkReadable, findComplete, openDownload } from './operations/download.js'
import type { Exchange } from './operations/exchange.js'
import { checkAccess, find } from './operations/find.js'
import { mayRecur } from './operations/identity.js'
import { inspect, observe } from './operations/inspect.js'
import { terminate } from './operations/terminate.js'
import type { OwnLocations } from './own-locations.js'
import type { Answer, Described, Message, Offer, Protocol } from './protocols/protocol.js'
import { encodeOffers, isPlain, recognize, selectForPlain, selectRetrieval } from './protocols/select.js'
import { selectRepresentation, type Selection } from './representation.js'
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
  /** Where the application says that uploads are; `null` where the request tells. */
  readonly own: OwnLocations | null
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
  const command = await protocol.decodeCreate(message, offer)
  if (command.body !== null && command.body.declared !== 0) checkUntouched(getSource(request))
  let announced = false
  const announce: Exchange['announce'] = upload => {
    announced = exchange.announce(upload)
    return announced
  }
  const completion = await create(context, command, { ...exchange, announce }).catch(error => {
    if (announced && isEndedByServer(error)) return drop(reply)
    // The upload exists, and only its completion was refused, or its body cut: the client must be able to try that again.
    if (request.upload && command.resumable) reply.header('location', call.describe(request.upload).locate())
    throw error
  })
  return completion && answer(call, completion, described => protocol.encodeCreated(described, command.body !== null))
}

const head: Verb = async call => {
  if (isPlain(call.message)) return headPlain(call)
  const { context, protocol, message, exchange, id } = call
  // In the draft a GET asks for the offset, too.
  if (message.method === 'GET') await checkReadable(context, id)
  const completion = await inspect(context, id, protocol.inspection, exchange)
  exchange.see(completion.upload)
  return completion.answered ? null : withDecision(protocol.encodeInspected(call.describe(completion.upload)), completion)
}

const patch: Verb = async call => {
  const { context, protocol, offer, message, request, reply, exchange, id } = call
  const command = await decode(() => protocol.decodeAppend(message, offer), context, id, exchange)
  if (command.declared !== 0) checkUntouched(getSource(request))
  const completion = await append(context, id, command, exchange).catch(error => {
    if (protocol.resumesAfterDrop && isEndedByServer(error)) return drop(reply)
    throw error
  })
  if (completion === null) return null
  if (call.own !== null && protocol.locatesCompleted && completion.upload.complete) await call.own.resolve(completion.upload.id)
  return answer(call, completion, described => protocol.encodeAppended(described))
}

/** Whether a body ended early although its client is well, and will be back. */
function isEndedByServer (error: unknown): boolean {
  return error instanceof TusError && (error.code === 'TUS_ERR_BODY_STALLED' || error.code === 'TUS_ERR_SHUTTING_DOWN')
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
  const admitted = await checkAccess(context, id, 'terminate', exchange)
  exchange.see(await terminate(context, admitted, exchange))
  return protocol.encodeTerminated()
}

const get: Verb = async call => {
  const { context, message, request, id } = call
  const file = await findFile(call)
  // While there is no file, a request in the words of the draft asks for the offset as HEAD does.
  if ('encodeInspected' in file) return isPlain(message) ? tellOffset(call, file) : head({ ...call, protocol: file })
  const { range, ...answer } = describeFile(call, file, request.headers)
  const found = mayRecur(context, id) ? file : { id }
  return { ...answer, ...range && { stream: closeWithConnection(await openDownload(context, found, range), request.raw) } }
}

/** A file answers as to GET, without its bytes. An upload that is none yet tells its offset in the draft; tus wants to be named for that. */
const headPlain: Verb = async call => {
  const { context, message, request, id } = call
  const { options, storage } = context
  const upload = await find(context, id)
  const isServed = options.download !== null && storage.read !== undefined
  const isFile = upload === null || (isServed && (upload.complete || upload.partial))
  const file = isFile ? await findFile(call) : recognize(message, upload, options.protocols)
  if ('encodeInspected' in file) return tellOffset(call, file)
  // "For this specification, GET is the only method for which range handling is defined" (RFC 9110, 14.2)
  const { status, headers } = describeFile(call, file, { ...request.headers, range: undefined })
  return { status, headers }
}

/** The upload that plain HTTP asks for; where it is not complete, and its protocol lets such a request ask for the offset, that. */
async function findFile ({ context, message, request, exchange, id }: Call): Promise<Upload | Protocol> {
  return findComplete(context, id, exchange).catch(error => {
    const protocol = selectRetrieval(error, request.upload, message, context.options.protocols)
    if (protocol === null) throw error
    return protocol
  })
}

function describeFile ({ context, message, describe }: Call, file: Upload, conditions: IncomingHttpHeaders): Selection {
  const { download, protocols } = context.options
  const { status, headers, range } = selectRepresentation(file, conditions)
  // A client of the draft may ask in plain HTTP whether all has arrived.
  const draft = status === 304 ? undefined : selectForPlain(file, message, protocols)?.encodeInspected(describe(file)).headers
  return { status, range, headers: { ...draft, ...headers, ...download && { 'cache-control': download.cacheControl } } }
}

/** Where the upload is, as far as that is known without asking a sender to leave. */
async function tellOffset ({ context, message, exchange, describe, id }: Call, protocol: Protocol): Promise<Answer> {
  const upload = await observe(context, id, exchange)
  protocol.checkVersion('HEAD', message)
  return protocol.encodeInspected(describe(upload))
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
