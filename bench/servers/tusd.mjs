import { join } from 'node:path'
import { findProgram, getLack, getProgramVersion } from './program.mjs'

/**
 * The reference server, in Go, with its file store; it syncs nothing.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  name: 'tusd',
  title: 'tusd',
  does: ['whole', 'patches', 'creation', 'head', 'get'],
  getLack: () => getLack('tusd'),
  versions: () => ({ tusd: getProgramVersion('tusd', '-version') }),
  command: (directory, port) => ({
    program: findProgram('tusd'),
    args: ['-host', '127.0.0.1', '-port', String(port), '-upload-dir', directory, '-base-path', '/files/', '-show-startup-logs=false', '-verbose=false', '-disable-cors'],
    url: `http://127.0.0.1:${port}/files/`
  }),
  stored: (directory, id) => join(directory, id)
}
