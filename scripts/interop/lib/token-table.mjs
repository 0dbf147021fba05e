import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { MOMENTS } from './try-token.mjs'

const PAGE = fileURLToPath(new URL('../../../docs/authentication.md', import.meta.url))
const MARKERS = /(<!-- tokens -->\n)([\s\S]*?)(<!-- \/tokens -->)/

/** Writes the rows over those of the same clients. The others stay as they are. */
export function updateTokenTable (rows, subjects) {
  const page = readFileSync(PAGE, 'utf8')
  const before = MARKERS.exec(page)[2].split('\n').filter(line => line.startsWith('| ['))
  const lines = subjects.flatMap(subject => subject.settings.map(({ title }) => {
    const row = rows.find(({ name, setting }) => name === subject.name && setting === title)
    return row ? describeRow(row) : before.find(line => line.startsWith(`| [${subject.title}](`) && line.includes(`| ${title} |`))
  }))
  const table = ['| client | token | 401 on POST | 401 on PATCH | 401 on HEAD |', '|---|---|---|---|---|', ...lines.filter(line => line !== undefined)]
  writeFileSync(PAGE, page.replace(MARKERS, (all, start, old, end) => `${start}\n${table.join('\n')}\n\n${end}`))
}

function describeRow (row) {
  return `| [${row.title}](${row.url})${row.version && ` ${row.version}`} | ${row.setting} | ${describeOutcomes(row).join(' | ')} |`
}

/** What a client did, and its requests from the first 401 on: all if it failed, else those before bytes were sent again. */
export function describeOutcomes ({ outcomes }) {
  return MOMENTS.map(moment => {
    const { result, trail } = outcomes[moment]
    const sent = trail.findIndex(step => step.startsWith('PATCH 204'))
    const shown = result === 'fails' ? trail : trail.slice(0, sent)
    return `${result}: \`${shown.join(', ')}\``
  })
}
