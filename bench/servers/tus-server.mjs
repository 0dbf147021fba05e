import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { getVersion, listenOnFreePort } from './node.mjs'

/**
 * @tus/server with its file store on plain `node:http`: what most ratios refer to. On Node 20 its process does not survive a GET.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  name: 'tus-server',
  title: '@tus/server on http',
  does: ['whole', 'patches', 'creation', 'head'],
  versions: () => ({ '@tus/server': getVersion('@tus/server'), '@tus/file-store': getVersion('@tus/file-store') }),
  async listen (directory) {
    const tus = new Server({ path: '/files', datastore: new FileStore({ directory }) })
    return `${await listenOnFreePort(createServer((request, response) => tus.handle(request, response)))}/files`
  },
  stored: (directory, id) => join(directory, id)
}
