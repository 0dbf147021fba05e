import { readFileSync } from 'node:fs'

/** Resolves to the origin that the server then answers at. */
export function listenOnFreePort (server) {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${server.address().port}`))
  })
}

/** The version of an installed peer. */
export function getVersion (name) {
  return JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), 'utf8')).version
}
