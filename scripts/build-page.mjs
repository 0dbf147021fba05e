// Bundles the page of `serve`, Uppy included, into dist/lib/cli/page: what is there is served as it is.
import { build } from 'esbuild'
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const target = join(root, 'dist/lib/cli/page')

rmSync(target, { recursive: true, force: true })
mkdirSync(target, { recursive: true })
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ['page/main.ts', 'page/style.css', 'page/icon.svg'],
  outdir: target,
  // The name changes with the content: browsers may keep it for ever.
  entryNames: '[name]-[hash]',
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['chrome123', 'firefox120', 'safari17.5'],
  loader: { '.svg': 'copy' },
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning'
})
writeFileSync(join(target, 'licences.txt'), collectLicences(metafile))
writeFileSync(join(target, 'index.html'), fillIn(readFileSync(join(root, 'page/index.html'), 'utf8')))

/** The names of the assets; the other places are filled in by the server. */
function fillIn (html) {
  const names = { script: /^main-.*\.js$/, style: /^style-.*\.css$/, icon: /^icon-.*\.svg$/, licences: /^licences\.txt$/ }
  return Object.entries(names).reduce((text, [place, pattern]) => text.replace(`{{${place}}}`, `page/${readdirSync(target).find(name => pattern.test(name))}`), html)
}

/** The licence of each package that is in the bundle. */
function collectLicences ({ inputs }) {
  const folders = Object.keys(inputs).map(path => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]).filter(folder => folder !== undefined)
  const texts = [...new Set(folders)].sort().map(folder => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))
    const file = readdirSync(join(root, folder)).find(name => /^licen[cs]e/i.test(name))
    const text = file === undefined ? `${license}, says the package\n` : readFileSync(join(root, folder, file), 'utf8')
    return `${name} ${version}\n${'-'.repeat(`${name} ${version}`.length)}\n\n${text.trim()}\n`
  })
  return `What the page of fastify-tus contains beside its own code:\n\n${texts.join('\n\n')}`
}
