// What a handler of app.tus.resumable() knows of its route, with the type providers of others, and what it may not say. It compiles with any strictness: public.test.ts tries several.
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type RouteHandler, type RouteHandlerMethod } from 'fastify'
import type { JsonSchemaToTsProvider } from '@fastify/type-provider-json-schema-to-ts'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { Type } from 'typebox'
import { z } from 'zod'
import type { Upload } from '../../lib/index.js'

/** Compiles only if the types are those of each other, and neither is `any`. */
type Same<A, B> = 0 extends (1 & A) ? false : [A] extends [B] ? [B] extends [A] ? true : false : false
function same<A, B> (_same: Same<A, B>): void {}

interface Known { n: number }
interface Asked { q: string }

export function typebox (bare: FastifyInstance): void {
  const app = bare.withTypeProvider<TypeBoxTypeProvider>()
  const schema = {
    params: Type.Object({ n: Type.Number() }),
    querystring: Type.Object({ q: Type.String() }),
    headers: Type.Object({ 'x-a': Type.String() }),
    response: { 201: Type.Object({ id: Type.String() }) }
  }
  app.post('/a/:n', { schema }, app.tus.resumable(async (request, reply) => {
    same<typeof request.params, Known>(true)
    same<typeof request.query, Asked>(true)
    same<(typeof request.headers)['x-a'], string>(true)
    same<typeof request.upload, Upload | null>(true)
    return reply.code(201).send({ id: request.upload!.id })
  }))
  app.post('/b/:n', { schema, handler: app.tus.resumable(async request => { same<typeof request.params, Known>(true) }) })
  app.route({ method: ['POST'], url: '/c/:n', schema, handler: app.tus.resumable(async request => { same<typeof request.params, Known>(true) }) })
  // The `app.tus` of the instance without the type provider is the same one.
  app.put('/d/:n', { schema, config: {}, bodyLimit: 5 }, bare.tus.resumable(function (request, reply) {
    same<typeof request.params, Known>(true)
    same<Awaited<ReturnType<typeof this.tus.find>>, Upload | null>(true)
    reply.code(201).send({ id: 'x' })
  }))
  // @ts-expect-error the schema has another answer
  app.post('/e/:n', { schema }, app.tus.resumable(async (_request, reply) => reply.code(201).send({ id: 7 })))
  // @ts-expect-error and no such parameter
  app.post('/f/:n', { schema }, app.tus.resumable(async request => request.params.m))
}

export function zod (bare: FastifyInstance): void {
  const app = bare.withTypeProvider<ZodTypeProvider>()
  const schema = { params: z.object({ n: z.coerce.number() }), querystring: z.object({ q: z.string() }), response: { 201: z.object({ id: z.string() }) } }
  app.post('/a/:n', { schema }, app.tus.resumable(async (request, reply) => {
    same<typeof request.params, Known>(true)
    same<typeof request.query, Asked>(true)
    return reply.code(201).send({ id: 'x' })
  }))
  app.route({ method: 'PUT', url: '/b/:n', schema, handler: app.tus.resumable(request => { same<typeof request.query, Asked>(true) }) })
  // @ts-expect-error the schema has another answer
  app.post('/c/:n', { schema }, app.tus.resumable(async (_request, reply) => reply.code(201).send({ id: 7 })))
}

export function jsonSchema (bare: FastifyInstance): void {
  const app = bare.withTypeProvider<JsonSchemaToTsProvider>()
  const schema = {
    params: { type: 'object', properties: { n: { type: 'number' } }, required: ['n'], additionalProperties: false },
    querystring: { type: 'object', properties: { q: { type: 'string' } }, required: ['q'], additionalProperties: false }
  } as const
  app.post('/a/:n', { schema }, app.tus.resumable(async request => {
    same<typeof request.params, Known>(true)
    same<typeof request.query, Asked>(true)
  }))
  app.post('/b/:n', { schema: { params: { type: 'object', properties: { n: { type: 'number' } }, required: ['n'], additionalProperties: false } } }, app.tus.resumable(async request => {
    same<typeof request.params, Known>(true)
  }))
}

export function generics (app: FastifyInstance): void {
  interface Route { Params: { n: string }, Querystring: Asked, Reply: { 201: { id: string } } }
  app.post<Route>('/a/:n', app.tus.resumable(async (request, reply) => {
    same<typeof request.params, { n: string }>(true)
    same<typeof request.query, Asked>(true)
    return reply.code(201).send({ id: 'x' })
  }))
  app.post<Route>('/b/:n', { schema: {}, preHandler: async () => {} }, app.tus.resumable((request, reply) => {
    same<typeof request.params, { n: string }>(true)
    reply.code(201).send({ id: 'x' })
  }))
  app.route<Route>({ method: 'POST', url: '/c/:n', handler: app.tus.resumable(async request => { same<typeof request.params, { n: string }>(true) }) })
  app.post('/d/:n', app.tus.resumable<Route>(async request => { same<typeof request.params, { n: string }>(true) }))
  // @ts-expect-error another answer
  app.post<Route>('/e/:n', app.tus.resumable(async (_request, reply) => reply.code(201).send({ id: 7 })))
}

export function styles (app: FastifyInstance): void {
  const declared: RouteHandlerMethod = async request => request.upload!.id
  const short: RouteHandler<{ Params: { n: string } }> = async request => request.params.n
  async function annotated (request: FastifyRequest<{ Params: { n: string } }>, reply: FastifyReply): Promise<string> {
    reply.code(201)
    return request.params.n
  }
  class Documents {
    async save (request: FastifyRequest): Promise<string> { return request.upload!.id }
  }
  const documents = new Documents()
  app.post('/a', app.tus.resumable(declared))
  app.post<{ Params: { n: string } }>('/b/:n', app.tus.resumable(short))
  app.post<{ Params: { n: string } }>('/c/:n', app.tus.resumable(annotated))
  app.post('/d/:n', app.tus.resumable(annotated))
  app.post('/e', app.tus.resumable(documents.save.bind(documents)))
  app.post('/f', app.tus.resumable(request => documents.save(request)))
  app.post('/g', app.tus.resumable(async () => 'x'))
  app.post('/h', app.tus.resumable(() => ({ ok: true })))
  app.post('/i', app.tus.resumable((request, reply) => { reply.code(201).send(request.upload!.id) }))
  app.post('/j', app.tus.resumable(async () => new Response('x')))
  app.put('/k', app.tus.resumable(async (request, reply) => reply.send(app.tus.createReadStream(request.upload!.id))))
  const marked = app.tus.resumable(async request => request.upload!.id)
  app.post('/l', marked)
  app.post('/m', { preHandler: async () => {}, config: {} }, marked)

  // @ts-expect-error a handler is a function
  app.post('/n', app.tus.resumable('x'))
  // @ts-expect-error a request has no such thing
  app.post('/o', app.tus.resumable(async request => request.uploads))
}

export function servers (): void {
  const secure = Fastify({ http2: true, https: {} })
  secure.post<{ Params: { n: string } }>('/a/:n', secure.tus.resumable(async (request, reply) => {
    same<typeof request.params, { n: string }>(true)
    return reply.code(201).send({ authority: request.raw.authority })
  }))
  const https = Fastify({ https: {} })
  https.put('/a', https.tus.resumable(async request => { same<typeof request.upload, Upload | null>(true) }))
}
