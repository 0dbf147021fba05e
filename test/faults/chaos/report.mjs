/** The table at the end of a run, in Markdown. */
export function formatReport (run, flags, { seconds, cleared }) {
  const { figures } = run
  const list = table => figures.entries(table).map(([key, count]) => `${key} ${count}`).join(', ') || 'none'
  const rows = [
    ['run', `seed ${flags.seed}, ${Math.round(seconds)} s, ${flags.workers} ${flags.mode === 'cluster' ? 'workers of one cluster' : 'independent processes'}, ${flags.clients} clients, durability ${flags.durability}`],
    ['uploads', `${figures.total('uploads')} (${list('uploads')})`],
    ['finished, compared byte for byte', `${figures.total('finished')} (${list('finished')})`],
    ['compared once more at the end, by GET and on the disk', `${figures.total('verified')}`],
    ['bytes', `${formatMebibytes(figures.get('bytes', 'sent'))} sent by hand, ${formatMebibytes(figures.get('bytes', 'finished'))} in finished uploads`],
    ['strikes', list('strikes')],
    ['cuts', `${figures.total('cuts')} (${list('cuts')})`],
    ['duplicates', `${figures.total('duplicates')} (${list('duplicates')})`],
    ['bodies by hand', list('bodies')],
    ['answers', list('answers')],
    ...['takeover', 'takeover while a worker was struck', 'HEAD', 'drain'].map(name => [`${name}, ms`, formatSummary(figures.summarize(name))]),
    ['disk before the sweep', formatCounts(cleared?.before)],
    ['sweep', formatCounts(cleared?.counts)],
    ['disk after the sweep', formatCounts(cleared?.after)],
    ['lines logged by servers', `${run.servers?.logged ?? 0}`],
    ['**violations**', `**${run.violationCount}**`]
  ]
  return `| | |\n|---|---|\n${rows.map(([name, value]) => `| ${name} | ${value} |\n`).join('')}${formatViolations(run)}`
}

function formatViolations ({ violations, violationCount }) {
  const shown = violations.slice(0, SHOWN)
  const text = shown.map(({ what, upload }, number) => `\n${number + 1}. ${what}\n${upload ? formatUpload(upload) : ''}`)
  return text.join('') + (violationCount > shown.length ? `\n… and ${violationCount - shown.length} more (--json has the first ${violations.length})\n` : '')
}

function formatUpload ({ events, ...facts }) {
  return `   ${JSON.stringify(facts)}\n${events.map(event => `   ${event}\n`).join('')}`
}

function formatMebibytes (bytes) {
  return `${(bytes / 1024 ** 2).toFixed(0)} MiB`
}

function formatSummary ({ count, median, p99, max }) {
  return count === 0 ? 'none' : `median ${median}, p99 ${p99}, max ${max} of ${count}`
}

function formatCounts (counts) {
  return counts ? Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(', ') : 'not reached'
}

const SHOWN = 10
