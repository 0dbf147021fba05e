import { execFileSync } from 'node:child_process'
import {
  closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync, truncateSync,
  writeFileSync, writeSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/**
 * A real file system of a few MiB of its own, mounted for one test, on which a fault can be made and taken away again. Needs Linux, and root or
 * `sudo` without a password.
 */
export class SmallDisk {
  /** Where the uploads are. */
  readonly directory: string
  readonly #path: string
  #mount: readonly string[] = []

  private constructor (t: Test) {
    this.#path = mkdtempSync(join(tmpdir(), 'fastify-tus-disk-'))
    this.directory = join(this.#path, 'uploads')
    t.teardown(() => {
      while (isMounted(this.#path)) run('umount', '-l', this.#path)
      rmSync(this.#path, { recursive: true, force: true })
    })
  }

  /** In memory. @param size as `mount` reads it */
  static tmpfs (t: Test, size: string, inodes = 1000): SmallDisk {
    const disk = new SmallDisk(t)
    disk.#attach('-t', 'tmpfs', '-o', `size=${size},nr_inodes=${inodes},mode=0777`, 'tmpfs')
    mkdirSync(disk.directory)
    return disk
  }

  /** An ext4 in a file, which turns read-only where it meets an error, as the disks of servers do. */
  static ext4 (t: Test): SmallDisk {
    const disk = new SmallDisk(t)
    const image = `${disk.#path}.img`
    t.teardown(() => rmSync(image, { force: true }))
    writeFileSync(image, '')
    truncateSync(image, 24 * MIB)
    run('mkfs.ext4', '-q', image)
    disk.#attach('-o', 'loop', image)
    run('chmod', '0777', disk.#path)
    mkdirSync(disk.directory)
    return disk
  }

  /** Leaves no more than `spare` bytes. */
  fill (spare = 0): void {
    const fd = openSync(join(this.#path, FILLER), 'a')
    for (let size = MIB; size >= 1;) {
      try {
        writeSync(fd, Buffer.alloc(size))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
        size = Math.floor(size / 2)
      }
    }
    closeSync(fd)
    if (spare > 0) truncateSync(join(this.#path, FILLER), statSync(join(this.#path, FILLER)).size - spare)
  }

  /** Leaves no more than `spare` files that may be created. */
  fillInodes (spare = 0): void {
    const folder = join(this.#path, FILLER)
    mkdirSync(folder)
    let count = 0
    try {
      for (;;) writeFileSync(join(folder, String(count++)), '')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
    for (let index = 0; index < spare; index++) rmSync(join(folder, String(index)))
  }

  /** Takes away what filled it. */
  free (): void {
    rmSync(join(this.#path, FILLER), { recursive: true, force: true })
  }

  /** What the kernel does with an ext4 on which it found an error: from now on nothing can be written, to open files neither. */
  abort (): void {
    run('mount', '-o', 'remount,abort', this.#path)
  }

  /** Takes the disk away while its files are in use. */
  detach (): void {
    run('umount', '-l', this.#path)
  }

  /** Mounts it again, as `option` says, once nobody uses it any more. */
  attach (option: 'rw' | 'ro' = 'rw'): void {
    while (isMounted(this.#path)) run('umount', this.#path)
    this.#attach(...this.#mount.slice(0, 1), `${this.#mount[1]},${option}`, ...this.#mount.slice(2))
  }

  /** What of it this process, or the one of that id, has open. */
  getOpenFiles (pid: number | 'self' = 'self'): string[] {
    return listDescriptors(pid).filter(target => target.startsWith(this.directory + '/'))
  }

  /** The files of uploads, and what is left of them. */
  list (): string[] {
    return readdirSync(this.directory).filter(name => !name.startsWith('.'))
  }

  /** The temporary files. */
  getRemains (): string[] {
    return this.list().filter(name => name.endsWith('.tmp'))
  }

  #attach (...args: string[]): void {
    this.#mount = args
    run('mount', ...args, this.#path)
  }
}

/** An ext4 on a device of compressed memory, which fails every write (EIO) as soon as it may take no more memory. */
export class FailingDisk {
  readonly directory: string
  readonly #device: string

  constructor (t: Test) {
    this.#device = `zram${readFileSync('/sys/class/zram-control/hot_add', 'utf8').trim()}`
    const path = mkdtempSync(join(tmpdir(), 'fastify-tus-disk-'))
    this.directory = join(path, 'uploads')
    t.teardown(() => {
      this.heal()
      if (isMounted(path)) run('umount', path)
      writeFileSync('/sys/class/zram-control/hot_remove', this.#device.slice('zram'.length))
      rmSync(path, { recursive: true })
    })
    this.#set('disksize', '32M')
    // Without a journal it does not turn read-only at once.
    run('mkfs.ext4', '-q', '-O', '^has_journal', `/dev/${this.#device}`)
    run('mount', `/dev/${this.#device}`, path)
    mkdirSync(this.directory)
  }

  /** Why there can be none here; `false` if there can. */
  static get lacking (): string | false {
    return process.getuid?.() === 0 && existsSync('/sys/class/zram-control/hot_add') ? false : 'a device that fails needs root and zram'
  }

  fail (): void {
    this.#set('mem_limit', '4K')
  }

  heal (): void {
    this.#set('mem_limit', '0')
  }

  #set (name: string, value: string): void {
    writeFileSync(`/sys/block/${this.#device}/${name}`, value)
  }
}

/** Why nothing can be mounted here; `false` if it can. Says so where a test is skipped for it. */
export function findLackOfMounts (t: Test): string | false {
  const reason = tryToMount()
  if (reason !== false) t.comment(`NOT TESTED HERE, because nothing can be mounted: ${reason}`)
  return reason
}

function tryToMount (): string | false {
  if (process.platform !== 'linux') return 'the tests mount as Linux does'
  const path = mkdtempSync(join(tmpdir(), 'fastify-tus-disk-'))
  try {
    run('mount', '-t', 'tmpfs', 'tmpfs', path)
    run('umount', path)
    return false
  } catch (error) {
    return String((error as { stderr?: unknown }).stderr ?? error).trim()
  } finally {
    rmSync(path, { recursive: true, force: true })
  }
}

/** Sets how much a running process may use, as `prlimit` names it. */
export function limitProcess (pid: number, ...limits: string[]): void {
  execFileSync('prlimit', ['--pid', String(pid), ...limits])
}

function listDescriptors (pid: number | 'self'): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap(fd => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)]
    } catch {
      return [] // closed in the meantime
    }
  })
}

function isMounted (path: string): boolean {
  return readFileSync('/proc/self/mounts', 'utf8').includes(` ${path} `)
}

function run (command: string, ...args: string[]): void {
  const [program, ...rest] = process.getuid?.() === 0 ? [command, ...args] : ['sudo', '-n', command, ...args]
  execFileSync(program!, rest, { stdio: 'pipe' })
}

const MIB = 1024 * 1024
const FILLER = 'filler'
