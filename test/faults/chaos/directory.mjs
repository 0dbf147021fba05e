import { existsSync } from 'node:fs'
import { readdir, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import Fastify from 'fastify'
import { verifyFile } from './verify.mjs'

/** A directory in which the uploads of a run are, and what is looked at there. */
export function createDirectoryPlace (directory) {
  return {
    flags: ['--dir', directory],
    verify: (run, journal) => verifyFile(run, directory, journal),
    inspect: () => inspectDirectory(directory),
    async sweep () {
      await ageDirectory(directory)
      return sweepDirectory(directory)
    },
    findRemains: async ids => findRemains(directory, ids)
  }
}

/**
 * What is in a directory of uploads beside the two files of each: folders and files of the storage itself (`own`), temporary files, data without a record,
 * a record without data, and what nobody knows.
 */
export async function inspectDirectory (directory) {
  const names = new Set(await readdir(directory))
  const ids = [...names].filter(name => names.has(`${name}.json`) && ID.test(name))
  const belongs = new Set(ids.flatMap(id => [id, `${id}.json`, `${id}.waiting`]))
  const rest = [...names].filter(name => !belongs.has(name))
  const own = rest.filter(name => name.startsWith('.'))
  return {
    ids,
    temporary: rest.filter(name => name.endsWith('.tmp')),
    orphans: rest.filter(name => !name.endsWith('.tmp') && !name.startsWith('.')),
    waiting: [...names].filter(name => name.endsWith('.waiting')),
    own: (await Promise.all(own.map(async name => (await list(join(directory, name))).map(entry => join(name, entry))))).flat()
  }
}

async function list (path) {
  return (await stat(path)).isDirectory() ? (await readdir(path, { recursive: true })) : ['']
}

/** Lets everything be as old as if nobody had touched it for days. */
async function ageDirectory (directory) {
  const then = new Date(Date.now() - 3 * 86_400_000)
  for (const name of await readdir(directory, { recursive: true })) await utimes(join(directory, name), then, then).catch(error => { if (error.code !== 'ENOENT') throw error })
}

/** One sweep by a server of its own, as it would happen some day by itself; resolves to its counts. */
async function sweepDirectory (directory) {
  const root = new URL('../../../dist/', import.meta.url)
  const { default: tus } = await import(new URL('lib/index.js', root).href)
  const { createFsStorage } = await import(new URL('adapters/fs/index.js', root).href)
  const app = Fastify()
  await app.register(tus, { storage: createFsStorage({ directory }), expiration: { sweepInterval: null } })
  await app.ready()
  try {
    return await app.tus.sweep()
  } finally {
    await app.close()
  }
}

/** Files of an upload that was removed. */
function findRemains (directory, ids) {
  return ids.flatMap(id => [id, `${id}.json`, `${id}.waiting`, `${id}.claim`]).filter(name => existsSync(join(directory, name)))
}

const ID = /^[A-Za-z0-9_-]+$/
