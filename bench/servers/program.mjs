import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Where a program lies that the PATH leads to; null if it does not. */
export function findProgram (name) {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(directory, name)
    if (isExecutable(path)) return path
  }
  return null
}

/** For `Contestant.getLack`. */
export function getLack (name) {
  return findProgram(name) ? null : `there is no '${name}' on the PATH`
}

/** The first number with dots that a program prints about itself. */
export function getProgramVersion (name, ...args) {
  const { stdout, stderr } = spawnSync(findProgram(name), args, { encoding: 'utf8' })
  return /\d+(\.\d+)+/.exec(stdout + stderr)?.[0] ?? 'unknown'
}

function isExecutable (path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
