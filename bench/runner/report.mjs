import { formatMemory } from './format.mjs'
import { formatTable, getTables } from './tables.mjs'
import { formatTargets } from './targets.mjs'

/**
 * The whole report, as Markdown.
 *
 * @param {(table: import('./tables.mjs').Table) => string} [illustrate] what to put below a table
 */
export function formatReport ({ machine, versions, quick, samples }, workloads, contestants, illustrate = () => '') {
  const { date, node, system, processor, memory } = machine
  const facts = [date, `Node ${node}`, system, processor, formatMemory(memory), ...Object.entries(versions).map(entry => entry.join(' '))]
  const method = quick ? 'A smoke run: these figures say nothing.' : 'Medians of interleaved rounds (lowest–highest). Only durability fsync syncs before it answers.'
  const tables = getTables(workloads, contestants, samples)
  return [`${facts.join(' · ')}\n`, `${method}\n`, formatTargets(workloads, contestants, samples), ...tables.flatMap(table => [formatTable(table), illustrate(table)])]
    .filter(Boolean).join('\n')
}
