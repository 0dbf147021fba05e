import type { FastifyCorsOptions } from '@fastify/cors'

/** Options for `@fastify/cors` under which a browser can use every header of tus. What the application says wins. */
export function getCorsOptions (options: FastifyCorsOptions): FastifyCorsOptions {
  return {
    methods: ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE', 'OPTIONS'],
    allowedHeaders: [...ALLOWED],
    exposedHeaders: [...EXPOSED],
    maxAge: 86_400,
    ...options,
    // OPTIONS without Origin is how tus clients discover the server: it must reach our own route.
    strictPreflight: false,
    preflightContinue: true
  }
}

const ALLOWED = [
  'Authorization', 'Content-Type', 'Tus-Resumable', 'Upload-Concat', 'Upload-Checksum', 'Upload-Defer-Length', 'Upload-Length',
  'Upload-Metadata', 'Upload-Offset', 'X-HTTP-Method-Override', 'X-Request-ID', 'X-Requested-With'
] as const
const EXPOSED = [
  'Location', 'Tus-Checksum-Algorithm', 'Tus-Extension', 'Tus-Max-Size', 'Tus-Resumable', 'Tus-Version', 'Upload-Concat',
  'Upload-Defer-Length', 'Upload-Expires', 'Upload-Length', 'Upload-Metadata', 'Upload-Offset'
] as const
