import { readRegular } from './handles.js'

/** The id of the process that a lock file of tusd names, if there is such a process; `null` otherwise. */
export async function readHolder (path: string): Promise<number | null> {
  const text = await readRegular(path).catch(() => null) ?? ''
  const pid = Number(/^\s*(\d+)\s*$/.exec(text)?.[1] ?? Number.NaN)
  return pid > 0 && isAlive(pid) ? pid : null
}

function isAlive (pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // There is one, of another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
