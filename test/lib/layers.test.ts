import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'

/** Who may import what, as `docs/architecture.md` draws it: a folder, and what none of its files may import. */
const FORBIDDEN: ReadonlyArray<readonly [folder: string, imports: RegExp]> = [
  ['lib/operations', /^(?:fastify|node:http2?)$|^lib\/(?:protocols|routes|plugin|cli)\b|^adapters\b/],
  ['lib/protocols', /^fastify$|^lib\/(?:routes|plugin|context|storage|locker|cli)\b|^adapters\b/],
  ['adapters', /^(?:fastify|node:http2?)$|^lib\/(?!storage\.js$|upload\.js$|locker\.js$)/]
]

t.test('every file imports only what its layer may', async t => {
  for (const file of [...await listSources('lib'), ...await listSources('adapters')]) {
    const imports = await readImports(file)
    for (const [folder, forbidden] of FORBIDDEN.filter(([folder]) => file.startsWith(folder))) {
      t.same(imports.filter(name => forbidden.test(name)), [], `${file} in ${folder}`)
    }
  }
})

t.test('only the plugin and the command line know an adapter', async t => {
  for (const file of await listSources('lib')) {
    const adapters = (await readImports(file)).filter(name => name.startsWith('adapters'))
    if (!/^lib\/(?:plugin\.ts|cli\/)/.test(file)) t.same(adapters, [], file)
  }
})

async function listSources (folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true })
  return names.filter(name => name.endsWith('.ts')).map(name => join(folder, name))
}

/** What a file imports that is there at run time; a type leaves no trace. */
async function readImports (file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8')
  return [...text.matchAll(/^(?:import|export)(?! type) [^;]*? from '([^']+)'/gm)]
    .map(([, name]) => name!.startsWith('.') ? normalize(join(dirname(file), name!)) : name!)
}
