import { open } from 'node:fs/promises'

/** Makes durable what a file or a directory holds. Windows can't open a directory, and needs not. */
export async function syncPath (path: string): Promise<void> {
  if (process.platform === 'win32') return
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
