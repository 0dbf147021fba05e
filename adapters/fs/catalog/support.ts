/** An index is asked for where Node has no `node:sqlite`. */
export class IndexUnsupported extends Error {
  override readonly name = 'IndexUnsupported'
  readonly code = 'TUS_ERR_INDEX_UNSUPPORTED'
}

/** @throws IndexUnsupported */
export function loadSqlite (): typeof import('node:sqlite') {
  const sqlite = process.getBuiltinModule?.('node:sqlite')
  if (!sqlite) throw new IndexUnsupported(`createFsStorage: 'index' needs Node 22.13 or later, which has node:sqlite; this is ${process.version}`)
  return sqlite
}
