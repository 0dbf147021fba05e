import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'

/**
 * Makes durable all that a file system holds: one call for any number of files. Node has none, so the program `sync` makes it.
 *
 * @param fd of a file on it; the program looks at no path, which might lead to another file system by now
 * @throws Error where the program is missing, or can't do that, or the system could not write something
 */
export async function syncFileSystem (fd: number): Promise<void> {
  const child = spawn('sync', ['-f', '/proc/self/fd/3'], { stdio: ['ignore', 'ignore', 'pipe', fd] })
  // Before anything else: without a descriptor to spare there is an error, which somebody has to hear, and nothing to read from.
  const closed = once(child, 'close')
  let said = ''
  child.stderr?.on('data', text => { said += text })
  const [code, signal] = await closed
  if (code !== 0) throw new Error(`The file system could not be synced: ${said.trim() || signal || code}`)
}

/** @throws Error if {@link syncFileSystem} can't work here: there is no `sync`, or one without `-f` */
export async function checkSyncProgram (): Promise<void> {
  // On a file system that holds nothing.
  const file = await open('/proc/self/stat', 'r')
  try {
    await syncFileSystem(file.fd)
  } catch (cause) {
    throw new Error("createFsStorage: 'journal' needs the program `sync` with the flag `-f`, of coreutils or busybox", { cause })
  } finally {
    await file.close()
  }
}
