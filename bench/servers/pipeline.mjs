import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { listenOnFreePort } from './node.mjs'

/**
 * What one would write first: each body goes into its file by `pipeline`. It checks, locks and syncs nothing.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  name: 'pipeline',
  title: 'http and pipeline to a file',
  does: ['whole', 'patches', 'creation'],
  async listen (directory) {
    const server = createServer(async (request, response) => {
      const id = request.method === 'POST' ? randomUUID() : request.url.slice('/files/'.length)
      const file = createWriteStream(join(directory, id), { flags: request.method === 'POST' ? 'w' : 'r+', start: Number(request.headers['upload-offset'] ?? 0) })
      await pipeline(request, file)
      const headers = { 'Tus-Resumable': '1.0.0', 'Upload-Offset': file.start + file.bytesWritten }
      if (request.method === 'POST') response.writeHead(201, { ...headers, Location: `/files/${id}`, 'Content-Length': 0 })
      else response.writeHead(204, headers)
      response.end()
    })
    return `${await listenOnFreePort(server)}/files`
  },
  stored: (directory, id) => join(directory, id)
}
