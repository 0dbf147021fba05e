import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Http2ServerRequest } from 'node:http2'

/**
 * Notes on the routes of `scope`, and of the scopes inside of it, that a response has been given, as soon as `reply.send` is called.
 *
 * Fastify calls a reply sent when its response has ended. Where an `onSend` hook of the application is asynchronous, that is
 * later: the request continues meanwhile, and reaches the handler, although a hook has refused it without `return reply`.
 */
export function watchAnswers (scope: FastifyInstance): void {
  if (scope.hasReplyDecorator(WATCHED)) return
  scope.decorateReply(WATCHED, true)
  // A decorator of this name is one step in front of the method that Fastify, or a scope around this one, has there.
  scope.decorateReply('send', function send (this: FastifyReply, payload?: unknown) {
    note(this, payload)
    return getNext(this, send).call(this, payload)
  })
}

/** Whether somebody has given a response: a hook, an error handler, a timeout, or whoever took the connection over. */
export function isAnswered (reply: FastifyReply): boolean {
  return answered.has(reply) || reply.sent || reply.raw.headersSent
}

/** Whether the response tells of an error that somebody threw, whatever an error handler has made of it, and none that a hook has given itself. */
export function hasFailed (reply: FastifyReply): boolean {
  return failed.has(reply)
}

/** The symbol under which Fastify notes on a reply that what is sent was thrown. Anything may be: errors of another realm, too. */
export function getErrorSymbol (reply: FastifyReply): symbol | undefined {
  if (errorSymbol === undefined || !Object.hasOwn(reply, errorSymbol)) {
    errorSymbol = Object.getOwnPropertySymbols(reply).find(({ description }) => description === 'fastify.reply.isError')
  }
  return errorSymbol
}

/** Whether nobody can be answered any more: a hook, or the client itself, has ended the connection. */
export function isGone ({ raw }: FastifyRequest): boolean {
  if (!('stream' in raw)) return raw.socket.destroyed
  // Over HTTP/2, one request ends without its connection.
  const { stream } = raw as unknown as Http2ServerRequest
  return stream.closed || stream.destroyed
}

/** Calls `listener` when somebody gives a response. One listener per reply: the latest. */
export function whenAnswered (reply: FastifyReply, listener: () => void): void {
  if (isAnswered(reply)) listener()
  else listeners.set(reply, listener)
}

function note (reply: FastifyReply, payload: unknown): void {
  if (!answered.has(reply) && (payload instanceof Error || isThrown(reply))) failed.add(reply)
  answered.add(reply)
  listeners.get(reply)?.()
  listeners.delete(reply)
}

function isThrown (reply: FastifyReply): boolean {
  const symbol = getErrorSymbol(reply)
  return symbol !== undefined && Reflect.get(reply, symbol) === true
}

type Send = FastifyReply['send']

function getNext (reply: FastifyReply, send: unknown): Send {
  let prototype: { send: Send } = reply
  while (!Object.hasOwn(prototype, 'send') || prototype.send !== send) prototype = Object.getPrototypeOf(prototype)
  return (Object.getPrototypeOf(prototype) as { send: Send }).send
}

const WATCHED = 'fastify-tus.answers'
const answered = new WeakSet<FastifyReply>()
const failed = new WeakSet<FastifyReply>()
const listeners = new WeakMap<FastifyReply, () => void>()
/** Each copy of Fastify has its own. */
let errorSymbol: symbol | undefined
