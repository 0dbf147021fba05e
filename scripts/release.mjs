import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'

/**
 * Prepares a release: `node scripts/release.mjs 1.2.3`.
 *
 * Turns the changelog's "Unreleased" into the version, sets it in package.json and package-lock.json, and makes a commit and a tag. Nothing is
 * pushed or published: the workflow `release` does that when the tag is pushed.
 */
const [version] = process.argv.slice(2)
if (!/^\d+\.\d+\.\d+(-[0-9a-z.]+)?$/.test(version ?? '')) fail('Usage: node scripts/release.mjs VERSION, such as 1.2.3')
if (git('status', '--porcelain') !== '') fail('There are changes that are not committed')
if (git('rev-parse', '--abbrev-ref', 'HEAD') !== 'main') fail('Releases are made on main')
if (git('tag', '--list', `v${version}`) !== '') fail(`There is a version ${version} already`)

writeFileSync('CHANGELOG.md', dateChangelog(readFileSync('CHANGELOG.md', 'utf8')))
execFileSync('npm', ['version', version, '--no-git-tag-version'], { stdio: 'inherit' })
git('add', 'CHANGELOG.md', 'package.json', 'package-lock.json')
git('commit', '--message', `Version ${version}`)
git('tag', '--annotate', `v${version}`, '--message', `Version ${version}`)
console.log(`Made v${version}. To publish it: git push --follow-tags`)

function dateChangelog (text) {
  const heading = '## [Unreleased]\n'
  const [before, after] = text.split(heading)
  if (after === undefined || !/^\s*(###|-)/.test(after)) fail('CHANGELOG.md has nothing under "Unreleased"')
  return `${before}${heading}\n## [${version}] - ${new Date().toISOString().slice(0, 10)}\n${after}`
}

function git (...args) {
  return execFileSync('git', args, { encoding: 'utf8' }).trim()
}

function fail (message) {
  console.error(message)
  process.exit(1)
}
