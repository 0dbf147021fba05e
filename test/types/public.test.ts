import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
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

const COMPILERS: Readonly<Record<string, readonly [file: string, options: object]>> = {
  'strictly, with exact optional properties': ['resumable.mts', {}],
  'with optional properties that may be undefined': ['resumable.mts', { exactOptionalPropertyTypes: false }],
  'without any strictness': ['resumable.mts', { strict: false, exactOptionalPropertyTypes: false, noUncheckedIndexedAccess: false }],
  'in CommonJS, as strict as a new application of Nest': ['resumable.cts', { strict: false, strictNullChecks: true, exactOptionalPropertyTypes: false, verbatimModuleSyntax: false }]
}

for (const [name, [file, compilerOptions]] of Object.entries(COMPILERS)) {
  t.test(`handlers of app.tus.resumable know the schemas of their routes, compiled ${name}`, async t => {
    // Inside of the package, where its own name stands for what was built.
    const directory = await mkdtemp('dist/types-')
    t.teardown(() => rm(directory, { recursive: true }))
    const source = await readFile('test/types/resumable.test-d.ts', 'utf8')
    await writeFile(join(directory, file), source.replace('../../lib/index.js', 'fastify-tus'))
    await writeFile(join(directory, 'tsconfig.json'), JSON.stringify({ extends: resolve('tsconfig.json'), compilerOptions: { ...compilerOptions, rootDir: '.' }, files: [file], include: [] }))
    t.equal(await compile(directory), '')
  })
}
