import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from './waiting.js'

/** Resolves when so many copies of parts are being made in a directory of uploads. */
export async function waitForCopies (directory: string, count: number): Promise<void> {
  await until(`${count} copies are being made`, async () => {
    const names = (await readdir(directory)).filter(name => name.endsWith('.tmp'))
    const sizes = await Promise.all(names.map(async name => (await stat(join(directory, name)).catch(() => null))?.size ?? 0))
    return sizes.filter(size => size > 1024 ** 2).length === count
  })
}
