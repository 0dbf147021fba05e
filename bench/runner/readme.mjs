import { readFileSync, writeFileSync } from 'node:fs'

const readme = new URL('../README.md', import.meta.url)
const begin = '<!-- results -->'
const end = '<!-- /results -->'

/** Replaces what stands between the two marks in `bench/README.md`. */
export function writeResults (report) {
  const text = readFileSync(readme, 'utf8')
  const from = text.indexOf(begin)
  const to = text.indexOf(end)
  if (from < 0 || to < from) throw new Error(`bench/README.md has no ${begin} … ${end}`)
  writeFileSync(readme, `${text.slice(0, from + begin.length)}\n\n${report}\n${text.slice(to)}`)
}
