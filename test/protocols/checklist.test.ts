import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const TUS = new URL('../../docs/spec/tus-1.0.0-checklist.md', import.meta.url)
const IETF = new URL('../../docs/spec/ietf-checklist.md', import.meta.url)
const TESTS = fileURLToPath(new URL('../../test', import.meta.url))

/** The numbers at the start of the rows of a checklist. */
async function readRequirements (checklist: URL, groups: readonly string[]): Promise<string[]> {
  const rows = (await readFile(checklist, 'utf8')).matchAll(/^\| ([A-Z]{2})-(\d+) \|/gm)
  return [...rows].filter(([, group]) => groups.includes(group!)).map(([, group, number]) => `${group}-${number}`)
}

/** The numbers in the names of tests. */
async function readCitations (): Promise<Set<string>> {
  const cited = new Set<string>()
  for (const name of await readdir(TESTS, { recursive: true })) {
    if (!name.endsWith('.test.ts')) continue
    const text = await readFile(join(TESTS, name), 'utf8')
    for (const [, title] of text.matchAll(/\.test\(['"`](.*?)['"`], /g)) {
      for (const [number] of title!.matchAll(/\b[A-Z]{2}-\d+\b/g)) cited.add(number)
    }
  }
  return cited
}

t.test('every requirement of the core, creation and termination is cited by the name of a test', async t => {
  const requirements = await readRequirements(TUS, ['CO', 'CR', 'CD', 'CU', 'TE'])
  t.equal(requirements.length, 37 + 15 + 9 + 8 + 5)
  const cited = await readCitations()
  t.strictSame(requirements.filter(number => !cited.has(number)), [])
})

t.test('every requirement of expiration, checksums and concatenation is cited by the name of a test', async t => {
  const requirements = await readRequirements(TUS, ['EX', 'CS', 'CT', 'CC', 'CF'])
  t.equal(requirements.length, 7 + 12 + 2 + 20 + 2)
  const cited = await readCitations()
  t.strictSame(requirements.filter(number => !cited.has(number)), [])
})

t.test('every requirement of Resumable Uploads for HTTP is cited by the name of a test', async t => {
  const requirements = await readRequirements(IETF, ['IV', 'ST', 'LI', 'CN', 'OR', 'AP', 'CA', 'CY', 'XX'])
  t.equal(requirements.length, 3 + 13 + 9 + 14 + 8 + 16 + 3 + 5 + 13)
  const cited = await readCitations()
  t.strictSame(requirements.filter(number => !cited.has(number)), [])
})
