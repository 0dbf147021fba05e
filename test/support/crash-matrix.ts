import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import type { Storage } from '../../lib/storage.js'
import { makeDirectory } from './app.js'
import { perform, type Operation } from './crash-operations.mjs'
import { spawnNode } from './server-process.js'

export interface Scenario {
  /** What is there before. */
  readonly prepare: (storage: Storage, directory: string) => Promise<void>
  /** Reads files on its way, in any order, which takes other steps through the thread pool: only their kinds are compared. */
  readonly reads?: boolean
  /** What is interrupted. */
  readonly operation: Operation
  /** Says what is wrong with what the crash left, as the next process finds it, before anything is repaired. */
  readonly check: (storage: Storage, directory: string) => Promise<void>
  /** Does again what was interrupted, as its client would. Default: the same operation. */
  readonly retry?: (storage: Storage, directory: string, step: number) => Promise<void>
  /** Says what is wrong after that. */
  readonly checkEnd: (storage: Storage, directory: string) => Promise<void>
}

/** Kills a process that runs the operation at its first step, its second, … until it ends by itself; before each step, and after each. */
export async function runMatrix (t: Test, scenario: Scenario): Promise<void> {
  const root = await makeDirectory(t)
  const steps = await Promise.all((['before', 'after'] as const).map(when => runSeries(t, root, scenario, when)))
  const comparable = scenario.reads ? steps.map(names => [...new Set(names)].sort()) : steps
  t.same(comparable[0], comparable[1], `${steps[0]!.length} steps: ${steps[0]!.join(' ')}`)
  t.ok(steps[0]!.length > 0)
}

async function runSeries (t: Test, root: string, scenario: Scenario, when: 'before' | 'after'): Promise<string[]> {
  for (let step = 1; step < MOST_STEPS; step++) {
    const directory = await mkdtemp(join(root, 'storage-'))
    await use(directory, storage => scenario.prepare(storage, directory))
    const { lines, signal } = await runChild(directory, step, when, scenario.operation)
    const killed = signal === 'SIGKILL'
    try {
      if (!killed && lines.at(-1) !== 'done') throw new Error(`The process failed: ${lines.join(' ')}`)
      if (killed) await use(directory, storage => scenario.check(storage, directory))
      if (killed) await use(directory, storage => scenario.retry?.(storage, directory, step) ?? perform(storage, scenario.operation).then(() => {}))
      await use(directory, storage => scenario.checkEnd(storage, directory))
    } catch (error) {
      t.fail(`killed ${when} step ${lines.at(-1)}: ${(error as Error).stack}`)
    }
    await rm(directory, { recursive: true })
    if (!killed) return lines.slice(0, -1).map(line => line.split(' ')[1]!.replace(/^promises\.|Sync$/g, ''))
  }
  throw new Error('The operation does not come to an end')
}

/** Runs `work` with a storage of its own, as a process that was just started has it. */
async function use (directory: string, work: (storage: Storage) => Promise<void>): Promise<void> {
  const storage = createFsStorage({ directory, durability: 'none' })
  await storage.open?.()
  try {
    await work(storage)
  } finally {
    await storage.close?.()
  }
}

async function runChild (directory: string, step: number, when: string, operation: Operation): Promise<{ lines: string[], signal: string | null }> {
  const child = spawnNode([CHILD, directory, String(step), when, JSON.stringify(operation)])
  let output = ''
  child.stdout!.on('data', text => { output += text })
  child.stderr!.on('data', text => { output += String(text).replaceAll('\n', ' ') })
  const [, signal] = await once(child, 'close')
  return { lines: output.trim().split('\n'), signal }
}

const CHILD = fileURLToPath(new URL('crash-child.mjs', import.meta.url))
const MOST_STEPS = 100
