/**
 * Holds and gives back locks of a directory as its parent says: `hold <id>`, `free <id>`. Prints `held <id>`, `wanted <id>`, `freed <id>`, `timeout <id>`.
 * `exhaust` opens files until the system gives no descriptor any more, `relax` closes them.
 */
import { closeSync, openSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createFsStorage } from '../../dist/adapters/fs/index.js'

const storage = createFsStorage({ directory: process.argv[2] })
await storage.open()
const releases = new Map()
const descriptors = []
const say = (...words) => process.stdout.write(`${words.join(' ')}\n`)

createInterface(process.stdin).on('line', line => {
  const [verb, id] = line.split(' ')
  if (verb === 'free') releases.get(id)?.()
  if (verb === 'hold') hold(id)
  if (verb === 'exhaust') exhaust()
  if (verb === 'relax') descriptors.splice(0).forEach(fd => closeSync(fd))
}).on('close', () => storage.close())
say('ready')

function hold (id) {
  storage.locker.withLock(id, 5000, async wanted => {
    say('held', id)
    if (wanted.requested) say('wanted', id)
    wanted.onRequest(() => say('wanted', id))
    await new Promise(resolve => { releases.set(id, resolve) })
  }).then(() => say('freed', id), () => say('timeout', id))
}

function exhaust () {
  try {
    for (;;) descriptors.push(openSync('/dev/null'))
  } catch {
    say('exhausted')
  }
}
