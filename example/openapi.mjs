import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import tus from 'fastify-tus'

/** An application whose OpenAPI document describes the uploads, behind a token. */
export async function makeDocumented (options) {
  const app = Fastify()
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Files', version: '1.0.0' },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } }
    }
  })
  await app.register(tus, { ...options, openapi: { tags: ['files'], security: [{ bearer: [] }] } })
  await app.ready()
  return { app, document: app.swagger() }
}
