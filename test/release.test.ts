import { execFileSync, spawnSync } from 'node:child_process'
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { makeDirectory } from './support/app.js'

t.test('scripts/release.mjs makes the version, its entry in the changelog, a commit and a tag', { skip: spawnSync('git', ['--version']).status !== 0 && 'there is no git' }, async t => {
  const cwd = await makeDirectory(t)
  const { NODE_OPTIONS, ...env } = process.env
  const git = (...args: string[]) => execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@example.com', ...args], { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
  const release = (...args: string[]) => {
    const { status, stderr } = spawnSync(process.execPath, ['scripts/release.mjs', ...args], {
      cwd, encoding: 'utf8', env: { ...env, GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a@example.com', GIT_COMMITTER_NAME: 'a', GIT_COMMITTER_EMAIL: 'a@example.com' }
    })
    return { status, stderr }
  }
  await mkdir(join(cwd, 'scripts'))
  for (const name of ['package.json', 'package-lock.json', 'CHANGELOG.md', 'scripts/release.mjs']) await cp(name, join(cwd, name))
  git('init', '--initial-branch', 'main')
  t.match(release(), { status: 1, stderr: /^Usage/ })
  t.match(release('1.0.0'), { status: 1, stderr: /not committed/ })
  git('add', '.')
  git('commit', '--message', 'first')
  const { status, stderr } = release('99.0.0')
  t.equal(status, 0, stderr)
  t.equal(git('tag'), 'v99.0.0')
  t.equal(git('log', '-1', '--format=%s'), 'Version 99.0.0')
  t.equal(git('status', '--porcelain'), '')
  for (const name of ['package.json', 'package-lock.json']) t.equal(JSON.parse(await readFile(join(cwd, name), 'utf8')).version, '99.0.0')
  t.match(await readFile(join(cwd, 'CHANGELOG.md'), 'utf8'), /^## \[Unreleased\]\n\n## \[99\.0\.0\] - \d{4}-\d\d-\d\d\n\n### Added\n/m)
  t.match(release('99.0.1'), { status: 1, stderr: /nothing under "Unreleased"/ })
  await writeFile(join(cwd, 'CHANGELOG.md'), (await readFile(join(cwd, 'CHANGELOG.md'), 'utf8')).replace('## [Unreleased]\n', '## [Unreleased]\n\n- more\n'))
  git('commit', '--all', '--message', 'more')
  t.match(release('99.0.0'), { status: 1, stderr: /There is a version 99\.0\.0 already/ })
})
