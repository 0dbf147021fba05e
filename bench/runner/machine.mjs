import { statfsSync } from 'node:fs'
import { arch, availableParallelism, cpus, release, totalmem, type } from 'node:os'

/** What results depend on besides the programs. */
export function describeMachine () {
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    system: `${type()} ${release().replace(/-.*/, '')} ${arch()}`,
    processor: `${availableParallelism()} × ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    memory: totalmem()
  }
}

/** The name of the filesystem that a directory is on. */
export function getFilesystem (directory) {
  const { type } = statfsSync(directory)
  return FILESYSTEMS[type] ?? `0x${type.toString(16)}`
}

/** From statfs(2). */
const FILESYSTEMS = {
  0x01021994: 'tmpfs',
  0xef53: 'ext4',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x2fc12fc1: 'zfs',
  0x794c7630: 'overlayfs',
  0x6969: 'nfs'
}
