/** The extensions of tus 1.0.0 that can be switched. */
export const EXTENSIONS = [
  'creation', 'creation-with-upload', 'creation-defer-length', 'termination', 'checksum', 'checksum-trailer', 'expiration',
  'concatenation', 'concatenation-unfinished'
] as const
export type Extension = typeof EXTENSIONS[number]
