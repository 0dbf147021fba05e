import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'
import { drawInto } from '../../scripts/draw-architecture.mjs'

/** Who may import what, as `docs/architecture.md` draws it: a folder, and what none of its files may import. */
const FORBIDDEN: ReadonlyArray<readonly [folder: string, imports: RegExp]> = [
  ['lib/operations', /^(?:fastify|node:http2?)$|^lib\/(?:protocols|routes|plugin|cli)\b|^adapters\b/],
  ['lib/protocols', /^fastify$|^lib\/(?:routes|plugin|context|storage|locker|cli)\b|^adapters\b/],
  ['adapters', /^(?:fastify|node:http2?)$|^lib\/(?!storage\.js$|upload\.js$|locker\.js$|factory-options\.js$|file-description\.js$)/]
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

t.test('neither operations nor storages contain a word of either protocol', async t => {
  const words = /upload-(?:complete|incomplete|limit|draft|offset|length|metadata|defer|concat|checksum)|repr-digest|content-digest|partial-upload|offset\+octet|\bietf\b|\bdraft-|interop|(?<![\w.-])tus(?!_ERR)\b|\b104\b|\?[01]\b/i
  for (const file of [...await listSources('lib/operations'), ...await listSources('adapters')]) {
    const code = stripComments(await readFile(file, 'utf8'))
    t.notMatch(code, words, file)
  }
  t.match("headers['upload-complete'] === '?1'", words, 'and the test would find one')
})

t.test('the picture in docs/architecture.md is true', async t => {
  const page = await readFile('docs/architecture.md', 'utf8')
  t.match(page, /flowchart TD\n(?: .*\n)+/)
  t.equal(drawInto(page), page, 'or run: node scripts/draw-architecture.mjs')
})

/** What is left is what runs: a comment may quote the sentence of a specification that a rule comes from. */
function stripComments (source: string): string {
  return source.replace(/\/\*[^]*?\*\/|(?<=^|\s)\/\/.*$/gm, '')
}

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
