import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import t from 'tap'

const run = promisify(execFile)

t.test('what users write compiles, and their mistakes do not', async t => {
  const { stdout } = await run(process.execPath, ['node_modules/@typescript/native/bin/tsc', '--noEmit', '-p', 'test/types']).catch(error => error)
  t.equal(stdout, '')
})

t.test('every hook is tried, rightly or wrongly', async t => {
  const [types, hooks] = await Promise.all([readFile('test/types/public.test-d.ts', 'utf8'), readFile('lib/hooks.ts', 'utf8')])
  const names = [...hooks.slice(hooks.indexOf('interface LifecycleHooks'), hooks.indexOf('export type HookRequest')).matchAll(/^ {2}(\w+) \(/gm)].map(([, name]) => name!)
  t.same(names.filter(name => !types.includes(`addHook('${name}'`)), [])
})
