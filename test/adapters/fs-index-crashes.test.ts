import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { append } from '../../lib/contract/uploads.js'
import type { Storage } from '../../lib/storage.js'
import { makeDirectory } from '../support/app.js'
import type { Operation } from '../support/crash-operations.mjs'
import { age, listIds, openStorage } from '../support/index-files.js'
import { spawnNode } from '../support/server-process.js'
import { withoutSqlite } from '../support/sqlite.js'
import { makeUpload } from '../support/uploads.js'

// A real process is killed at every step of what the index has to learn of, while another one that lives goes on with the index as it is.

const EXPIRED = new Date(Date.now() - 3_600_000)
const SWEEP = { for: 'sweep', incomplete: 60_000, complete: 60_000 } as const

interface Place {
  readonly directory: string
  /** That one lives on, and only lists. */
  readonly observer: Storage
  /** Knows the truth: it has no index. */
  readonly plain: Storage
}

async function makePlace (t: Test): Promise<Place> {
  const directory = await makeDirectory(t)
  const place = { directory, observer: await openStorage(t, directory), plain: await openStorage(t, directory, { index: false }) }
  await settle(place)
  return place
}

/** Everything is known, and nothing but the journal tells of news from here on. */
async function settle ({ directory, observer }: Place): Promise<void> {
  await listIds(observer)
  age(directory)
  await listIds(observer)
  await listIds(observer)
}

async function killAt (directory: string, step: number, operation: Operation): Promise<'killed' | 'done'> {
  const child = spawnNode([CHILD, directory, String(step), 'before', JSON.stringify({ ...operation, index: true })])
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', text => { output += text })
  const [, signal] = await once(child, 'close')
  if (signal !== 'SIGKILL' && !output.endsWith('done\n')) throw new Error(`The process failed: ${output}`)
  return signal === 'SIGKILL' ? 'killed' : 'done'
}

const CHILD = fileURLToPath(new URL('../support/crash-child.mjs', import.meta.url))

for (const { name, prepare, operation } of [
  {
    name: 'created',
    prepare: async () => {},
    operation: (id: string): Operation => ({ name: 'create', upload: makeUpload({ id, length: 3, expiresAt: EXPIRED, createdAt: EXPIRED }) })
  },
  {
    name: 'removed',
    prepare: async (storage: Storage, id: string) => {
      await storage.create(makeUpload({ id, length: 3, expiresAt: EXPIRED }))
      await append(storage, id, 0, 'abc')
    },
    operation: (id: string): Operation => ({ name: 'remove', id })
  },
  {
    name: 'changed to expire early',
    prepare: (storage: Storage, id: string) => storage.create(makeUpload({ id, length: 3 })),
    operation: (id: string): Operation => ({ name: 'update', id, change: { expiresAt: EXPIRED } })
  }
]) {
  t.test(`whatever step kills a process while an upload is ${name}, others list and sweep what there is`, { skip: withoutSqlite }, async t => {
    const place = await makePlace(t)
    const { directory, observer, plain } = place
    const writer = await openStorage(t, directory)
    for (let step = 1, ended: string | null = null; ended !== 'done'; step++) {
      const id = `${step}-upload`
      await prepare(writer, id)
      await settle(place)
      ended = await killAt(directory, step, operation(id))
      const upload = await plain.find(id)
      const there = upload === null ? [] : [id]
      const isTold = async (hint?: Parameters<NonNullable<Storage['list']>>[0]) => (await listIds(observer, hint)).filter(listed => listed === id)
      const mustBeSwept = upload?.expiresAt != null
      // First: who lists everything sees by itself what has changed.
      const swept = await isTold(SWEEP)
      t.ok(mustBeSwept ? swept.length === 1 : swept.length <= there.length, `step ${step}: the sweep`)
      t.same(await isTold(), there, `step ${step}: all`)
      if (upload?.complete === false) t.same(await isTold({ for: 'state', state: 'incomplete' }), there, `step ${step}: those in progress`)
      await plain.remove(id)
      t.same(await isTold(), [])
    }
  })
}
