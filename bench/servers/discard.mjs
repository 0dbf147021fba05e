import { createServer } from 'node:http'
import { listenOnFreePort } from './node.mjs'

/**
 * Receives and throws away: what `node:http` itself can do, and so the limit for every server in Node.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  name: 'discard',
  title: 'limit: http, stores nothing',
  does: ['whole', 'patches', 'creation'],
  async listen () {
    let count = 0
    const server = createServer((request, response) => {
      let offset = Number(request.headers['upload-offset'] ?? 0)
      request.on('data', chunk => { offset += chunk.length })
      request.on('end', () => {
        const headers = { 'Tus-Resumable': '1.0.0', 'Upload-Offset': offset }
        if (request.method === 'POST') response.writeHead(201, { ...headers, Location: `/files/${++count}`, 'Content-Length': 0 })
        else response.writeHead(204, headers)
        response.end()
      })
    })
    return `${await listenOnFreePort(server)}/files`
  }
}
