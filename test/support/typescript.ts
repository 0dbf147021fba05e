import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'

/** What the compiler has to say of a project; nothing, if it is in order. */
export async function compile (project: string): Promise<string> {
  // Not with the loaders of the test runner, with which the compiler ends before it has looked at anything.
  const args = ['-u', 'NODE_OPTIONS', process.execPath, resolve('node_modules/@typescript/native/bin/tsc'), '--noEmit', '-p', project]
  return promisify(execFile)('env', args).then(({ stdout }) => stdout, ({ stdout, stderr }) => `${stdout}${stderr}`)
}
