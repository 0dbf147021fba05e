/** The protocols that a server can speak: tus 1.0.0, and Resumable Uploads for HTTP. */
export const PROTOCOLS = ['tus', 'ietf'] as const
export type ProtocolName = typeof PROTOCOLS[number]
/** Those that it does speak. */
export type Enabled = ReadonlySet<ProtocolName>
