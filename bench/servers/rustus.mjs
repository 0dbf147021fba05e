import { join } from 'node:path'
import { findProgram, getLack, getProgramVersion } from './program.mjs'

/**
 * A tus server in Rust, with files for bytes and for what it knows about them. It reads a body to its end before it writes it.
 *
 * @type {import('./index.mjs').Contestant}
 */
export default {
  name: 'rustus',
  title: 'rustus',
  does: ['whole', 'patches', 'creation', 'head'],
  getLack: () => getLack('rustus'),
  versions: () => ({ rustus: getProgramVersion('rustus', '--version') }),
  command: (directory, port) => ({
    program: findProgram('rustus'),
    args: [
      '--host', '127.0.0.1', '--port', String(port), '--url', '/files', '--workers', '1', '--log-level', 'ERROR', '--max-body-size', String(2 ** 31),
      '--data-dir', join(directory, 'data'), '--info-dir', join(directory, 'info')
    ],
    url: `http://127.0.0.1:${port}/files/`
  }),
  stored: (directory, id) => join(directory, 'data', id)
}
