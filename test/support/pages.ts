import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** A block of code in a page. */
export interface Block {
  /** `docs/s3.md, line 5`. */
  readonly place: string
  readonly page: string
  readonly language: string
  /** What stands behind the language. */
  readonly name: string
  readonly code: string
}

/** The pages that people write: all but the reference, which is made from the source. */
export async function listPages (): Promise<string[]> {
  const documents = (await readdir('docs', { recursive: true })).filter(name => name.endsWith('.md') && !name.startsWith('api')).map(name => join('docs', name))
  const others = (await readdir('.')).filter(name => name.endsWith('.md'))
  return [...others, ...documents, 'bench/README.md']
}

export async function readBlocks (page: string): Promise<Block[]> {
  const text = await readFile(page, 'utf8')
  return [...text.matchAll(/^```(\w*) ?(\S*)\n([\s\S]*?)^```$/gm)].map(({ index, 1: language, 2: name, 3: code }) => {
    return { place: `${page}, line ${text.slice(0, index).split('\n').length}`, page, language: language!, name: name!, code: code! }
  })
}
