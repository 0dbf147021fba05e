import { clean } from '../upload/display.js'

/** What became of an upload of another server. */
export interface Outcome {
  readonly id: string
  /** `adopted`: now, or in a dry run: it would be. `present`: adopted before. `left`: as it was, for `reason`. */
  readonly result: 'adopted' | 'present' | 'left'
  readonly complete?: boolean
  /** Bytes that count from now on. */
  readonly offset?: number
  readonly length?: number | null
  /** Why it was left, or what else there is to know. */
  readonly reason?: string
}

/** A line for each upload, and one for all. */
export class Report {
  readonly #write: (line: string) => void
  readonly #counts = { complete: 0, incomplete: 0, present: 0, left: 0 }

  constructor (write: (line: string) => void) {
    this.#write = write
  }

  add (outcome: Outcome): void {
    const { id, result, complete, reason } = outcome
    this.#counts[result === 'adopted' ? complete ? 'complete' : 'incomplete' : result]++
    if (result === 'present') return
    const bytes = result === 'adopted' ? [describeBytes(outcome)] : []
    this.#write(clean(`${result} ${JSON.stringify(id)}: ${[...bytes, ...reason === undefined ? [] : [reason]].join('; ')}`))
  }

  end (dryRun: boolean): void {
    const { complete, incomplete, present, left } = this.#counts
    const before = present > 0 ? `, ${present} adopted before` : ''
    this.#write(`${dryRun ? 'would adopt' : 'adopted'} ${complete} complete and ${incomplete} incomplete uploads, left ${left}${before}`)
    if (dryRun) this.#write('nothing was changed: add --write to do it')
  }
}

function describeBytes ({ complete, offset, length }: Outcome): string {
  if (complete) return `complete, ${offset} bytes`
  return length === null ? `incomplete, ${offset} bytes, length not known yet` : `incomplete, ${offset} of ${length} bytes`
}
