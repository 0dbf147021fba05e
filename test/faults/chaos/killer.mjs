import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Kills a random worker every `every` ms; besides, stops one for 300 ms now and then, and sometimes tells one to end in order.
 *
 * @returns a function that ends it, and resolves when nothing of it is under way any more
 */
export function startKiller (run, random, every) {
  const abort = new AbortController()
  const repeat = async (interval, strike) => {
    while (!abort.signal.aborted) {
      await sleep(Math.round(interval * (0.8 + random.next() * 0.4)), null, { signal: abort.signal }).catch(() => {})
      if (!abort.signal.aborted) await strike(run, random, abort.signal)
    }
  }
  const running = Promise.all([repeat(every, kill), repeat(every * 3.5, pause), repeat(every * 8, drain)])
  return async () => {
    abort.abort()
    await running
  }
}

async function kill (run, random) {
  const pid = random.pick(run.servers.pids)
  if (pid !== undefined && run.servers.signal(pid, 'SIGKILL')) run.strike('SIGKILL')
}

async function pause (run, random) {
  const pid = random.pick(run.servers.pids)
  if (pid === undefined || !run.servers.signal(pid, 'SIGSTOP')) return
  run.strike('SIGSTOP')
  await sleep(300)
  run.servers.signal(pid, 'SIGCONT')
}

/** It must end by itself, unless it is killed on the way. */
async function drain (run, random) {
  const pid = random.pick(run.servers.pids)
  if (pid === undefined || !run.servers.signal(pid, 'SIGTERM')) return
  run.expectRefusals()
  run.strike('SIGTERM')
  const start = performance.now()
  while (run.servers.pids.includes(pid)) {
    if (performance.now() - start > PATIENCE) return run.violate(`worker ${pid} still runs ${PATIENCE} ms after SIGTERM`)
    await sleep(50)
  }
  run.figures.measure('drain', performance.now() - start)
}

/** On a machine that is busy with other things, too, in ms. */
const PATIENCE = 30_000
