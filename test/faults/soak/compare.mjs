/**
 * What a server holds more at the end than at the beginning, in words.
 *
 * Open files and locks must be as many; timers may differ by a few that come and go by themselves; the heap may grow by 8 MiB for each
 * process, resident memory by a third and 32 MiB.
 */
export function compare (begin, end) {
  const grew = (what, allowed) => end[what] > begin[what] + allowed ? [`${what} grew from ${begin[what]} to ${end[what]}`] : []
  return [
    ...grew('files', 0),
    ...grew('locks', 0),
    ...grew('timers', 2 * begin.processes),
    ...grew('heap', 8 * MIB * begin.processes),
    ...grew('rss', begin.rss / 3 + 32 * MIB * begin.processes)
  ]
}

export function formatSamples (samples) {
  const rows = samples.map(({ name, rss, heap, files, timers, resources, locks }) => `| ${name} | ${mib(rss)} | ${mib(heap)} | ${files} | ${timers} | ${resources} | ${locks} |\n`)
  return `| at | resident, MiB | heap, MiB | open files | timers | resources | lock files |\n|---|---|---|---|---|---|---|\n${rows.join('')}`
}

function mib (bytes) {
  return (bytes / MIB).toFixed(1)
}

const MIB = 1024 * 1024
