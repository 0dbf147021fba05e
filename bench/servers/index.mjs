/**
 * A server that takes part.
 *
 * @typedef {object} Contestant
 * @property {string} name what `--contestant` and the JSON call it; also the name of its file
 * @property {string} title its name in the tables
 * @property {() => Record<string, string>} [versions] of what it consists of, for the head of the report
 * @property {(directory: string) => Promise<string>} listen starts it, in a process of its own, on an empty directory and a free port
 *   of 127.0.0.1; resolves to the URL that uploads are created at
 * @property {(directory: string, id: string) => string} [stored] the file with the bytes of an upload; a contestant without stores nothing
 */

/** One file each, in the order of the tables. */
const names = ['fastify-tus', 'fastify-tus-unsynced', 'tus-server', 'tus-server-fastify', 'discard', 'discard-fastify']

/** The contestant that ratios refer to. */
export const reference = 'tus-server'

/** @returns {Promise<Contestant[]>} */
export function loadContestants () {
  return Promise.all(names.map(loadContestant))
}

/** @returns {Promise<Contestant>} */
export async function loadContestant (name) {
  return (await import(`./${name}.mjs`)).default
}
