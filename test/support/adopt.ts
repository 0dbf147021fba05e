import { adopt } from '../../lib/cli/adopt/adopt.js'
import { parseAdoptFlags } from '../../lib/cli/adopt/flags.js'
import type { Run } from './server-process.js'

/** Runs `adopt` in this process, so that the coverage sees it. */
export async function runAdopt (...args: string[]): Promise<Run> {
  let stdout = ''
  try {
    await adopt(parseAdoptFlags(args), line => { stdout += `${line}\n` })
    return { code: 0, stdout, stderr: '' }
  } catch (error) {
    return { code: 1, stdout, stderr: String(error) }
  }
}
