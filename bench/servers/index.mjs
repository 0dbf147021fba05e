/**
 * A server that takes part.
 *
 * @typedef {object} Contestant
 * @property {string} name what `--contestant` and the JSON call it; also the name of its file
 * @property {string} title its name in the tables
 * @property {Ability[]} does what it can take part in
 * @property {() => string | null} [getLack] what is missing here to run it; null if nothing is
 * @property {() => Record<string, string>} [versions] of what it consists of, for the head of the report
 * @property {(directory: string) => Promise<string>} [listen] starts it, in a process of its own, on an empty directory and a free port
 *   of 127.0.0.1; resolves to the URL that uploads are created at
 * @property {(directory: string, port: number) => { program: string, args: string[], url: string }} [command] instead of `listen`: how to start a
 *   program that is not made of Node
 * @property {(directory: string, id: string) => string} [stored] the file with the bytes of an upload; a contestant without stores nothing
 */

/**
 * `whole`: bodies of one request each, which is PUT for who has `put` besides. `patches`: POST, then PATCH. `creation`: bytes with the POST. `file`: GET, also with `Range`, of what lies in its
 * folder `files`. `small-on-disk`, `workers`, `s3` (any server), `sink` (one that does not keep bytes): only in workloads for these.
 *
 * @typedef {'whole' | 'put' | 'patches' | 'creation' | 'checksum' | 'head' | 'get' | 'range' | 'file' | 'small-on-disk' | 'workers' | 's3' | 'sink'} Ability
 */

/** One file each, in the order of the tables. */
const names = [
  'fastify-tus', 'fastify-tus-unsynced', 'fastify-tus-journal', 'tus-server', 'tus-server-fastify', 'tusd', 'rustus', 'nginx', 'nginx-large-buffers', 'fastify-static', 'pipeline',
  'discard', 'discard-fastify', 'fastify-tus-1-core', 'fastify-tus-1-worker', 'fastify-tus-2-workers', 'fastify-tus-s3', 'tus-server-s3', 'lib-storage'
]

/** @returns {Promise<Contestant[]>} */
export function loadContestants () {
  return Promise.all(names.map(loadContestant))
}

/** @returns {Promise<Contestant>} */
export async function loadContestant (name) {
  return (await import(`./${name}.mjs`)).default
}
