import type { Context } from './context.js'
import type { Log } from './log.js'
import { sweep } from './operations/sweep.js'

/** Sweeps again and again, each time a pause behind the last, until it is stopped. */
export function startSweeper (context: Context, log: Log): { stop: () => Promise<void> } {
  const { sweepInterval } = context.options
  let timer: NodeJS.Timeout | null = null
  let running: Promise<void> | null = null

  const schedule = () => {
    // Several processes that started together need not sweep together.
    timer = setTimeout(run, sweepInterval! * (0.9 + Math.random() * 0.2))
    timer.unref()
  }
  const run = () => {
    running = sweep(context, log).then(
      counts => { if (Object.values(counts).some(count => count > 0)) log.info(counts, 'swept uploads') },
      error => { log.error({ err: error }, 'the sweep failed') }
    ).then(() => {
      running = null
      if (timer !== null) schedule()
    })
  }

  if (sweepInterval !== null) schedule()
  return {
    async stop () {
      if (timer !== null) clearTimeout(timer)
      timer = null
      await running
    }
  }
}
