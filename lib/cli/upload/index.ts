import { clean, createDisplay, type Display } from './display.js'
import { SendError } from './failures.js'
import { STDIN, type UploadFlags } from './flags.js'
import { Places } from './places.js'
import { send, type Listener } from './send.js'
import { openSource } from './source.js'

/**
 * Sends files, a few at once, and resolves to what the command exits with: 0 if all are there, 1 if one can't be sent, 3 if none can't, but one did not get through and would go on
 * with the next run. SIGINT and SIGTERM end it with 130 and 143, and leave what the next run goes on with.
 *
 * Standard output gets a line for each file that is there, its URL and its name; all else goes to standard error.
 */
export async function upload (flags: UploadFlags): Promise<number> {
  const display = createDisplay(process.stderr)
  const stop = new AbortController()
  // Not `once`: a package below tus-js-client ends the process at a signal for which nobody else listens.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort(signal))
  const places = new Places(process.env)
  const outcomes: Outcome[] = []
  const queue = flags.files.values()
  await Promise.all(Array.from({ length: flags.parallel }, async () => {
    for (const name of queue) {
      if (!stop.signal.aborted) outcomes.push(await sendOne(name, flags, places, display, stop.signal))
    }
  }))
  display.stop()
  if (stop.signal.aborted) return explainStop(stop.signal.reason, outcomes, flags)
  return outcomes.includes('final') ? 1 : outcomes.includes('passing') ? 3 : 0
}

type Outcome = 'sent' | 'stopped' | SendError['kind']

async function sendOne (name: string, flags: UploadFlags, places: Places, display: Display, signal: AbortSignal): Promise<Outcome> {
  display.begin(name, null)
  try {
    const source = openSource(name, flags, places)
    display.begin(name, source.size)
    const url = await send(source, flags, createListener(name, source.findPlace() !== null, display), signal)
    source.forget()
    source.check()
    const line = `${clean(url)}\t${clean(name)}`
    // Where both go to one terminal, what another writes between the bars would be drawn over.
    const isShared = process.stdout.isTTY && process.stderr.isTTY
    display.end(name, isShared ? line : `${name}: is there`)
    if (!isShared) process.stdout.write(`${line}\n`)
    return 'sent'
  } catch (error) {
    if (signal.aborted) {
      display.end(name, `${name}: stopped`)
      return 'stopped'
    }
    if (!(error instanceof SendError)) throw error
    display.end(name, `${name}: ${error.message}`)
    return error.kind
  }
}

/** @param begun whether a run before began it */
function createListener (name: string, begun: boolean, display: Display): Listener {
  let first = begun
  return {
    acknowledged (offset) {
      if (first) display.resumed(name, offset)
      first = false
      display.progressed(name, offset)
    },
    progressed: sent => display.progressed(name, sent),
    failed (reason, delay) {
      display.failed(name, reason, delay)
      // The next answer tells where it goes on.
      first = true
    }
  }
}

function explainStop (signal: 'SIGINT' | 'SIGTERM', outcomes: readonly Outcome[], { files }: UploadFlags): number {
  const sent = outcomes.filter(outcome => outcome === 'sent').length
  const how = files.includes(STDIN) ? '; standard input has to be sent anew' : '; the same command goes on where it was'
  process.stderr.write(`fastify-tus: stopped, ${sent} of ${files.length} sent${how}\n`)
  return signal === 'SIGINT' ? 130 : 143
}
