import { statfs } from 'node:fs/promises'
import { LocksUnsupported } from '../../../lib/locker.js'

/**
 * Whether a directory can only be in use by this machine: a process of another one, found there, is one from before a restart.
 *
 * @throws LocksUnsupported for a network file system, on which machines can't see whose processes live
 */
export async function belongsToThisMachine (directory: string): Promise<boolean> {
  if (process.platform !== 'linux') return false
  return judge((await statfs(directory)).type)
}

/** @param type the magic number of a Linux file system */
export function judge (type: number): boolean {
  const network = NETWORK.get(type >>> 0)
  if (network === undefined) return LOCAL.has(type >>> 0)
  throw new LocksUnsupported(`The directory is on a network file system (${network}), where processes can't exclude each other: ` +
    "use it from one process alone, with `locks: 'process'`, or keep the uploads on a local disk or in S3")
}

/** From `linux/magic.h` and the file systems' own sources. */
const NETWORK = new Map([
  [0x6969, 'NFS'], [0x517b, 'SMB'], [0xff534d42, 'CIFS'], [0xfe534d42, 'SMB2'], [0x00c36400, 'Ceph'], [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'], [0x5346414f, 'AFS'], [0x6b414653, 'AFS'], [0x7461636f, 'OCFS2'], [0x01161970, 'GFS2'], [0x19830326, 'BeeGFS'],
  [0x20030528, 'OrangeFS'], [0x73757245, 'Coda']
])
/** Ext, XFS, Btrfs, tmpfs, ramfs, overlay, ZFS, F2FS, bcachefs, NILFS, JFS, ReiserFS. */
const LOCAL = new Set([
  0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x858458f6, 0x794c7630, 0x2fc12fc1, 0xf2f52010, 0xca451a4e, 0x3434, 0x3153464a, 0x52654973
])
