/** Why tests of the index can't run on this Node; `false` where they can. */
export const withoutSqlite: string | false = process.getBuiltinModule?.('node:sqlite') ? false : `Node ${process.version} has no node:sqlite`
