import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Test } from 'tap'
import { makeDirectory } from './app.js'
import { spawnNode } from './server-process.js'

/** A project of its own that has installed this package, and what its documentation names beside it. */
export async function makeProject (t: Test): Promise<string> {
  const directory = await makeDirectory(t)
  await mkdir(join(directory, 'node_modules'))
  for (const name of NAMED) await symlink(resolve('node_modules', name), join(directory, 'node_modules', name))
  await symlink(resolve('.'), join(directory, 'node_modules/fastify-tus'))
  await writeFile(join(directory, 'package.json'), '{ "type": "module" }')
  return directory
}

/**
 * Runs a script in such a project, and resolves to what it printed as JSON.
 *
 * @throws what it printed, if it failed
 */
export async function runScript (t: Test, script: string, env: Readonly<Record<string, string>> = {}): Promise<unknown> {
  const project = await makeProject(t)
  await writeFile(join(project, 'script.mjs'), script)
  const child = spawnNode(['script.mjs'], { cwd: project, env })
  let [stdout, stderr] = ['', '']
  child.stdout!.on('data', text => { stdout += text })
  child.stderr!.on('data', text => { stderr += text })
  const code = await new Promise(resolve => child.once('close', resolve))
  if (code !== 0) throw new Error(stdout + stderr)
  return JSON.parse(stdout)
}

const NAMED = ['fastify', '@aws-sdk', '@azure', '@fastify', '@opentelemetry', '@tus', '@types', 'prom-client', 'tus-js-client']
