import type { Upload } from '../../../lib/upload.js'

/**
 * What the index holds of an upload: as it was when somebody looked last. In its life an upload only goes on, from row to row as below, so what is
 * behind the times is looked at too early, never too late. What does not follow that order is noted in the journal.
 */
export interface Row {
  readonly number: number
  readonly id: string
  /** One of {@link Group}. */
  readonly group: number
  /** For `look`: when it was noted. For `incomplete` and `complete`: the last byte, or before that. For `own`: when it expires. In ms. */
  readonly since: number
  /** One of {@link State}. */
  readonly state: number
  /** Of the record's file; see {@link writeStamp}. Empty: never read. */
  readonly stamp: string
  readonly record: string
}

/** What a sweep goes by. */
export const Group = {
  /** At every sweep: it may wait for its completion, or nothing is known. */
  look: 0,
  /** When it is as old as uploads may become, at the least. */
  incomplete: 1,
  /** When it is as old as complete uploads may become. */
  complete: 2,
  /** At the time that the application chose. */
  own: 3
} as const

/** What lists and workers go by. */
export const State = {
  /** Or complete by now. */
  incomplete: 0,
  complete: 1,
  /** Complete, and of no interest to workers. */
  done: 2
} as const

export function getState ({ complete, partial, processed }: Upload): number {
  if (!complete) return State.incomplete
  return partial || processed ? State.done : State.complete
}

export function getGroup (upload: Upload): Pick<Row, 'group' | 'since'> {
  const { expiresAt, complete, partial, modifiedAt } = upload
  if (mayBeUnfinished(upload)) return { group: Group.look, since: 0 }
  if (expiresAt !== null) return { group: Group.own, since: expiresAt.getTime() }
  return { group: complete && !partial ? Group.complete : Group.incomplete, since: Math.floor(modifiedAt.getTime()) }
}

/** Whether all bytes may be there any moment with something left to be done. */
function mayBeUnfinished ({ complete, completes, finished, partial, final }: Upload): boolean {
  return complete ? completes !== 'at-length' && !finished && !partial : final || completes !== 'at-length'
}
