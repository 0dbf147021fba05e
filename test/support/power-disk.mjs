import fs from 'node:fs'
import { join } from 'node:path'

/** What a directory holds after a power failure at any time: the harshest that a file system may do. */
export class Disk {
  root
  /** Content by file, as it was synced last. */
  #contents = new Map()
  /** Names by folder, as they were synced last. */
  #names = new Map()
  /** One for each sync. @type {State[]} */
  states = []
  /** When files were written last that the system could not write, and takes for written: by file, in ns. */
  #lost = new Map()

  constructor (root) {
    this.root = root
  }

  sync (fd, path) {
    const key = getKey(fs.fstatSync(fd, { bigint: true }))
    if (!path.startsWith(this.root)) return
    if (fs.fstatSync(fd).isDirectory()) this.#names.set(key, readNames(path))
    else this.#keep(fs.fstatSync(fd, { bigint: true }), fs.readFileSync(`/proc/self/fd/${fd}`))
    this.note()
  }

  syncAll () {
    this.#visit(this.root, (stat, content) => { this.#keep(stat, content) })
    this.note()
  }

  /** A sync that could write nothing, and says so once. */
  loseAll () {
    this.#visit(this.root, (stat, content) => {
      const key = getKey(stat)
      if (this.#contents.get(key)?.equals(content) !== true) this.#lost.set(key, stat.mtimeNs)
    })
  }

  note () {
    const key = getKey(fs.statSync(this.root, { bigint: true }))
    this.states.push(new State(key, new Map(this.#contents), new Map(this.#names)))
  }

  #keep (stat, content) {
    const key = getKey(stat)
    if (this.#lost.get(key) !== stat.mtimeNs) this.#contents.set(key, content)
  }

  #visit (path, work) {
    const stat = fs.statSync(path, { bigint: true })
    // The sockets of processes.
    if (stat.isSocket()) return
    if (!stat.isDirectory()) return work(stat, fs.readFileSync(path))
    this.#names.set(getKey(stat), readNames(path))
    for (const name of fs.readdirSync(path)) this.#visit(join(path, name), work)
  }
}

class State {
  #root
  #contents
  #names

  constructor (root, contents, names) {
    this.#root = root
    this.#contents = contents
    this.#names = names
  }

  get hasLog () {
    return [...this.#names.values()].some(names => [...names.keys()].some(name => name.endsWith('.log')))
  }

  /** Makes a directory of it. */
  write (path) {
    this.#write(path, this.#root)
  }

  #write (path, key) {
    fs.mkdirSync(path)
    for (const [name, { key: inner, isFolder }] of this.#names.get(key) ?? []) {
      if (isFolder) this.#write(join(path, name), inner)
      else fs.writeFileSync(join(path, name), this.#contents.get(inner) ?? '')
    }
  }
}

function readNames (path) {
  return new Map(fs.readdirSync(path).map(name => {
    const stat = fs.statSync(join(path, name), { bigint: true })
    return [name, { key: getKey(stat), isFolder: stat.isDirectory() }]
  }))
}

/** Numbers of files are used again, moments are not. */
function getKey ({ ino, birthtimeNs }) {
  return `${ino} ${birthtimeNs}`
}
