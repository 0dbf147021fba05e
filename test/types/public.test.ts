import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { makeDirectory } from '../support/app.js'
import { compile } from '../support/typescript.js'

t.test('what users write compiles, and their mistakes do not', async t => {
  t.equal(await compile('test/types'), '')
})

t.test('the compiler was asked: it finds a mistake', async t => {
  const directory = await makeDirectory(t)
  await writeFile(join(directory, 'tsconfig.json'), '{ "compilerOptions": { "strict": true, "types": [] } }')
  await writeFile(join(directory, 'mistake.ts'), "export const length: number = '5'\n")
  t.match(await compile(directory), /TS2322/)
})

t.test('every hook is tried, rightly or wrongly', async t => {
  const [types, hooks] = await Promise.all([readFile('test/types/public.test-d.ts', 'utf8'), readFile('lib/hooks.ts', 'utf8')])
  const names = [...hooks.slice(hooks.indexOf('interface LifecycleHooks'), hooks.indexOf('export type HookRequest')).matchAll(/^ {2}(\w+) \(/gm)].map(([, name]) => name!)
  t.same(names.filter(name => !types.includes(`addHook('${name}'`)), [])
})
