import { setImmediate } from 'node:timers/promises'
import type { ListHint } from '../../../lib/storage.js'
import type { Database } from './database.js'
import { Group, State, type Row } from './row.js'

/**
 * The numbers of the rows that somebody wants, as the index is at one moment: each upload once, whatever is noted of it on the way. Eight bytes each, so
 * a million of them take little.
 */
export async function selectNumbers (database: Database, hint: ListHint | undefined): Promise<number[]> {
  const numbers: number[] = []
  for (const [sql, ...values] of getQueries(hint)) {
    // A statement of its own: others may be at the same query.
    for (const row of database.prepareAnew(sql).iterate(...values)) {
      if (numbers.push((row as { number: number }).number) % AT_ONCE === 0) await setImmediate()
    }
  }
  return numbers
}

/** The rows of these numbers that are still there. */
export function readRows (database: Database, numbers: readonly number[]): Row[] {
  return database.prepare(ROWS).all(JSON.stringify(numbers)) as unknown as Row[]
}

type Query = [sql: string, ...values: number[]]

function getQueries (hint: ListHint | undefined): Query[] {
  switch (hint?.for) {
    case undefined: return [[ALL]]
    case 'state': return [hint.state === 'complete' ? [ALL] : [`${ALL} WHERE state = ${State.incomplete}`]]
    case 'claims': return [[`${ALL} WHERE state <= ${State.complete}`]]
    case 'sweep': return getSweepQueries(hint, Date.now())
    default: return hint satisfies never
  }
}

function getSweepQueries (ages: { incomplete: number | null, complete: number | null }, now: number): Query[] {
  const complete = ages.complete ?? Infinity
  // By now it may be complete.
  const incomplete = Math.min(ages.incomplete ?? Infinity, complete)
  const conditions = [
    `"group" = ${Group.look}`,
    `"group" = ${Group.incomplete} AND since <= ?`,
    `"group" = ${Group.complete} AND since <= ?`,
    `"group" = ${Group.own} AND since <= ?`
  ]
  return [[conditions.map(condition => `${ALL} WHERE ${condition}`).join(' UNION ALL '), getBound(now - incomplete), getBound(now - complete), now]]
}

/** No time is that early, where no age is too old. */
function getBound (time: number): number {
  return Math.max(time, -1)
}

const ROWS = 'SELECT number, id, "group", since, state, stamp, record FROM uploads WHERE number IN (SELECT value FROM json_each(?))'
const ALL = 'SELECT number FROM uploads'
const AT_ONCE = 4096
