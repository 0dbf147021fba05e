import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { setTimeout as sleep } from 'node:timers/promises'

/** A point at which an application can answer a request before its handler. */
export const STAGES = ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const
export type Stage = typeof STAGES[number]

/** A way to answer, and what the client gets. */
export interface Way {
  readonly status: number
  /** What the body contains, or the header `location` is. */
  readonly says: string
  /** Whether it waits for a turn of the event loop first, so that a body has time to arrive. */
  readonly answer: AsyncAnswer | CallbackAnswer
  readonly style: 'async' | 'callback'
}

type AsyncAnswer = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>
type CallbackAnswer = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void

function refusal (): Error {
  return Object.assign(new Error('refused'), { statusCode: 401 })
}

function callback (answer: CallbackAnswer, status = 401, says = 'refused'): Way {
  return { style: 'callback', answer, status, says }
}

function asynchronous (answer: AsyncAnswer, status = 401, says = 'refused'): Way {
  return { style: 'async', answer, status, says }
}

/** Every way that Fastify's pages, or those of its plugins, show. */
export const WAYS: Readonly<Record<string, Way>> = {
  'calls send': callback((_request, reply) => { reply.code(401).send({ say: 'refused' }) }),
  'calls send and done': callback((_request, reply, done) => {
    reply.code(401).send({ say: 'refused' })
    done()
  }),
  'calls send later': callback((_request, reply) => { setTimeout(() => reply.code(401).send('refused'), 5) }),
  'calls done with an error': callback((_request, _reply, done) => done(refusal())),
  'calls done with an error later': callback((_request, _reply, done) => { setTimeout(done, 5, refusal()) }),
  'throws, not async': callback(() => { throw refusal() }),
  'calls send and returns reply, async': asynchronous(async (_request, reply) => reply.code(401).send('refused')),
  'calls send and returns nothing, async': asynchronous(async (_request, reply) => { reply.code(401).send({ say: 'refused' }) }),
  'waits, calls send and returns nothing, async': asynchronous(async (_request, reply) => {
    await sleep(2)
    reply.code(401).send(Buffer.from('refused'))
  }),
  'sends an error and returns nothing, async': asynchronous(async (_request, reply) => {
    try {
      await Promise.reject(refusal())
    } catch (error) {
      reply.send(error)
    }
  }),
  'returns reply and calls send later, async': asynchronous(async (_request, reply) => {
    setTimeout(() => reply.code(401).send('refused'), 5)
    return reply
  }),
  'throws, async': asynchronous(async () => { throw refusal() }),
  'throws what is no Error, async': asynchronous(async () => { throw { statusCode: 401, message: 'refused' } }), // eslint-disable-line no-throw-literal
  redirects: callback((_request, reply) => { reply.redirect('/login') }, 302, '/login'),
  'redirects and returns nothing, async': asynchronous(async (_request, reply) => { reply.redirect('/login', 303) }, 303, '/login'),
  'calls callNotFound and returns nothing, async': asynchronous(async (_request, reply) => { reply.callNotFound() }, 404, 'nothing here'),
  'takes the connection over, async': asynchronous(async (_request, reply) => {
    reply.hijack()
    reply.raw.writeHead(401, { 'content-length': '7' }).end('refused')
  }),
  'ends the raw response and returns nothing, async': asynchronous(async (_request, reply) => { reply.raw.writeHead(401, { 'content-length': '7' }).end('refused') })
}

/** A hook that answers requests with the header `x-refuse` that way, and lets all others pass. */
export function createHook (stage: Stage, { style, answer }: Way): (...args: never[]) => unknown {
  const refused = new WeakSet<FastifyRequest>()
  // The hooks of a scope run for its 404 handler, too: an answer is asked for once.
  const isRefused = (request: FastifyRequest) => request.headers['x-refuse'] !== undefined && !refused.has(request) && refused.add(request) !== null
  if (style === 'async') {
    return stage === 'preParsing'
      ? async (request: FastifyRequest, reply: FastifyReply, _payload: unknown) => isRefused(request) ? await (answer as AsyncAnswer)(request, reply) && undefined : undefined
      : async (request: FastifyRequest, reply: FastifyReply) => isRefused(request) ? (answer as AsyncAnswer)(request, reply) : undefined
  }
  return stage === 'preParsing'
    ? (request: FastifyRequest, reply: FastifyReply, payload: unknown, done: (error: Error | null, payload?: unknown) => void) => {
        if (isRefused(request)) answer(request, reply, error => done(error ?? null, payload))
        else done(null, payload)
      }
    : (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => {
        if (isRefused(request)) answer(request, reply, done)
        else done()
      }
}

/** Where an application puts a hook, and which `onSend` hook it has: an asynchronous one lets Fastify continue before the response has ended. */
export const SETTINGS = [
  { place: 'scope', onSend: 'none' },
  { place: 'scope', onSend: 'asynchronous' },
  { place: 'route', onSend: 'asynchronous' }
] as const

export function addOnSend (app: FastifyInstance, kind: 'none' | 'asynchronous'): void {
  if (kind === 'none') return
  app.addHook('onSend', async (_request, _reply, payload) => {
    await sleep(3)
    return payload
  })
}
