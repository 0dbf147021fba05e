import Fastify from 'fastify'
import { finished } from 'node:stream/promises'
import { getVersion } from './node.mjs'

/**
 * Two Fastify routes that throw away what they receive: the limit for a plugin, which small uploads come near to.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  name: 'discard-fastify',
  title: 'limit: Fastify, stores nothing',
  does: ['whole', 'patches', 'creation'],
  versions: () => ({ fastify: getVersion('fastify') }),
  async listen () {
    const app = Fastify({ logger: false })
    let count = 0
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (request, payload, done) => done(null))
    app.post('/files', async (request, reply) => {
      const offset = await discard(request)
      return reply.code(201).headers({ 'tus-resumable': '1.0.0', 'upload-offset': offset, location: `/files/${++count}` }).send()
    })
    app.patch('/files/:id', async (request, reply) => {
      const offset = await discard(request)
      return reply.code(204).headers({ 'tus-resumable': '1.0.0', 'upload-offset': offset }).send()
    })
    return `${await app.listen({ host: '127.0.0.1', port: 0 })}/files`
  }
}

/** Resolves to the offset behind the body. */
async function discard ({ raw, headers }) {
  let offset = Number(headers['upload-offset'] ?? 0)
  raw.on('data', chunk => { offset += chunk.length })
  if (headers['content-length'] !== '0') await finished(raw)
  return offset
}
