import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Draws who imports whom at run time, as Mermaid, into `docs/architecture.md`. A test compares the picture there with the code.
 *
 * `node scripts/draw-architecture.mjs`
 */
const root = fileURLToPath(new URL('..', import.meta.url))

/** What stands in one box; the first that fits counts. */
const boxes = [
  { name: 'cli', title: 'cli: the command', files: /^lib\/cli\// },
  { name: 'operations', title: 'operations: the rules', files: /^lib\/operations\// },
  { name: 'protocols', title: 'protocols: the words', files: /^lib\/protocols\// },
  { name: 'contract', title: 'storage, upload, locker: the contract', files: /^lib\/(?:storage|upload|locker|factory-options|similar-name|file-description)\.ts$/ },
  { name: 'suite', title: 'contract/: its tests', files: /^lib\/contract(?:\/|\.ts$)/ },
  { name: 'plugin', title: 'plugin, app.tus', files: /^lib\/(?:index|plugin|api)\.ts$/ },
  { name: 'http', title: 'routes: HTTP, as Fastify brings it', files: /^lib\/(?:routes|verbs|cors|location|representation|connection|expect-continue|content|interim|problem|resumable|handler-answer|kept-answer|exchange|answered|untouched-body|empty-body|cors-hooks|cors-names|hook-lists|retry-later)\.ts$/ },
  { name: 'openapi', title: 'openapi/: what a document says of the routes', files: /^lib\/openapi\// },
  { name: 'background', title: 'claims, sweeper', files: /^lib\/(?:claims?|sweeper|arrivals)\.ts$/ },
  { name: 'metrics', title: 'metrics: for prom-client, where it is wanted', files: /^lib\/metrics\// },
  { name: 'core', title: 'core: options, bodies, hooks, limits', files: /^lib\/[^/]+\.ts$/ },
  { name: 'adapters', title: 'adapters: the bytes', files: /^adapters\// }
]

/** @returns {string} the picture */
export function draw () {
  const edges = new Set()
  for (const file of ['lib', 'adapters'].flatMap(listSources)) {
    for (const imported of readImports(file)) {
      const [from, to] = [findBox(file), findBox(imported)]
      if (to && from !== to) edges.add(`  ${from} --> ${to}`)
    }
  }
  const lines = boxes.map(({ name, title }) => `  ${name}["${title}"]`)
  return ['```mermaid', 'flowchart TD', ...lines, ...[...edges].sort(), '```'].join('\n')
}

/** @returns {string} the page with the picture of today */
export function drawInto (page) {
  return page.replace(/<!-- picture -->\n[^]*?\n<!-- \/picture -->/, () => `<!-- picture -->\n${draw()}\n<!-- /picture -->`)
}

function findBox (file) {
  return boxes.find(({ files }) => files.test(file))?.name
}

function listSources (folder) {
  return readdirSync(join(root, folder), { recursive: true }).map(name => join(folder, name)).filter(name => name.endsWith('.ts'))
}

/** Types leave no trace at run time. */
function readImports (file) {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(/^(?:import|export)(?! type) [^;']*? from '(\.[^']+)'/gm)]
    .filter(([statement]) => !/\{(?:\s*type [^,}]+,?)+\s*\}/.test(statement))
    .map(([, name]) => normalize(join(dirname(file), name)).replace(/\.js$/, '.ts'))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = join(root, 'docs/architecture.md')
  writeFileSync(path, drawInto(readFileSync(path, 'utf8')))
}
