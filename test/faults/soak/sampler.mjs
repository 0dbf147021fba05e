import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Looks at the processes of a server: memory, open files, timers, files of locks. */
export class Sampler {
  samples = []
  #answers = new Map()
  #rest = ''

  /** Takes in what the servers write, and finds the answers of the probe in it. */
  read (text) {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop()
    for (const line of lines.filter(line => line.startsWith('probe '))) {
      const counts = JSON.parse(line.slice('probe '.length))
      this.#answers.set(counts.pid, counts)
    }
  }

  /** Rests for so long, and adds up what all processes hold. */
  async take (servers, name, rest) {
    await sleep(rest)
    const pids = servers.allPids
    this.#answers.clear()
    for (const pid of pids) process.kill(pid, 'SIGUSR2')
    for (let waited = 0; this.#answers.size < pids.length && waited < 10_000; waited += 20) await sleep(20)
    if (this.#answers.size < pids.length) throw new Error('a process did not answer the probe')
    const answers = pids.map(pid => this.#answers.get(pid))
    const sum = key => answers.reduce((total, answer) => total + answer[key], 0)
    const sample = {
      name,
      processes: pids.length,
      rss: sum('rss'),
      heap: sum('heapUsed') + sum('external'),
      files: pids.reduce((total, pid) => total + countFiles(pid), 0),
      timers: sum('timers'),
      resources: sum('resources'),
      locks: countLocks(servers.directory)
    }
    this.samples.push(sample)
    return sample
  }
}

function countFiles (pid) {
  try {
    return readdirSync(`/proc/${pid}/fd`).length
  } catch {
    return 0 // a system without /proc
  }
}

function countLocks (directory) {
  try {
    return readdirSync(join(directory, '.locks'), { recursive: true }).length
  } catch {
    return 0
  }
}
