import Fastify, { type FastifyInstance } from 'fastify'
import { TypeBoxValidatorCompiler, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import t, { type Test } from 'tap'
import { Type } from 'typebox'
import { z } from 'zod'
import { createMemoryStorage } from '../../adapters/memory/index.js'
import tus from '../../lib/index.js'
import { BYTES, TUS, createComplete, head, patch } from '../support/http-tus.js'

// The compilers of type providers are set on the application, so they see every schema below it.

interface Provider {
  readonly setCompilers: (app: FastifyInstance) => void
  /** A route `POST /documents/:n?q=` whose `n` is a number, whose `x-a` and body are wanted too, and whose answer is what the handler knows. */
  readonly addRoute: (app: FastifyInstance) => void
}

const PROVIDERS: Readonly<Record<string, Provider>> = {
  zod: {
    setCompilers: app => { app.setValidatorCompiler(validatorCompiler).setSerializerCompiler(serializerCompiler) },
    addRoute (app) {
      const schema = {
        params: z.object({ n: z.coerce.number() }),
        querystring: z.object({ q: z.string() }),
        headers: z.object({ 'x-a': z.string() }),
        body: z.object({ not: z.string() }),
        response: { 201: z.object({ n: z.number(), q: z.string(), length: z.number() }) }
      }
      app.withTypeProvider<ZodTypeProvider>().post('/documents/:n', { schema }, app.tus.resumable(async (request, reply) => {
        return reply.code(201).send({ n: request.params.n, q: request.query.q, length: request.upload!.length! })
      }))
    }
  },
  TypeBox: {
    setCompilers: app => { app.setValidatorCompiler(TypeBoxValidatorCompiler) },
    addRoute (app) {
      const schema = {
        params: Type.Object({ n: Type.Number() }),
        querystring: Type.Object({ q: Type.String() }),
        headers: Type.Object({ 'x-a': Type.String() }),
        body: Type.Object({ not: Type.String() }),
        response: { 201: Type.Object({ n: Type.Number(), q: Type.String(), length: Type.Number() }) }
      }
      app.withTypeProvider<TypeBoxTypeProvider>().post('/documents/:n', { schema }, app.tus.resumable(async (request, reply) => {
        return reply.code(201).send({ n: request.params.n, q: request.query.q, length: request.upload!.length! })
      }))
    }
  }
}

async function makeProvided (t: Test, { setCompilers, addRoute }: Provider, order: 'before' | 'after'): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  if (order === 'before') setCompilers(app)
  await app.register(tus, { storage: createMemoryStorage() })
  if (order === 'after') setCompilers(app)
  addRoute(app)
  return app
}

for (const [name, provider] of Object.entries(PROVIDERS)) {
  for (const order of ['before', 'after'] as const) {
    t.test(`with the compilers of ${name} set ${order} the plugin, its routes work, and those of app.tus.resumable know what was validated`, async t => {
      const app = await makeProvided(t, provider, order)
      t.equal((await app.inject(await createComplete(app, 'hello'))).body, 'hello')

      const url = '/documents/7?q=x'
      const plain = await app.inject({ method: 'POST', url, headers: { 'x-a': 'b', 'content-type': 'text/plain' }, payload: 'hello' })
      t.match(plain, { statusCode: 201 }, plain.body)
      t.same(plain.json(), { n: 7, q: 'x', length: 5 })

      const begun = await app.inject({ method: 'POST', url, headers: { ...TUS, ...BYTES, 'upload-length': '5', 'x-a': 'b' }, payload: 'hel' })
      t.equal(begun.statusCode, 201, begun.body)
      const { pathname, search } = new URL(begun.headers.location!)
      t.equal((await head(app, pathname + search)).headers['upload-offset'], '3')
      t.same((await patch(app, pathname + search, 3, 'lo')).json(), { n: 7, q: 'x', length: 5 })
    })
  }

  t.test(`what ${name} finds wrong in parameters, query or headers is refused before anything is stored`, async t => {
    const app = await makeProvided(t, provider, 'before')
    for (const [url, headers] of [['/documents/seven?q=x', { 'x-a': 'b' }], ['/documents/7', { 'x-a': 'b' }], ['/documents/7?q=x', {}]] as const) {
      for (const protocol of [{}, { ...TUS, ...BYTES, 'upload-length': '5' }]) {
        const response = await app.inject({ method: 'POST', url, headers: { 'content-type': 'text/plain', ...headers, ...protocol }, payload: 'hello' })
        t.match(response, { statusCode: 400 }, url)
        t.match(response.json(), { code: 'FST_ERR_VALIDATION' })
      }
    }
    for await (const upload of app.tus.list()) t.fail(`${upload.id} is there`)
  })
}
