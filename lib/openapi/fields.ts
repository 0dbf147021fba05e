/** What a header field holds, as a schema of JSON Schema that OpenAPI 3.0 and 3.1 understand alike. */
export interface Field {
  readonly description: string
  readonly schema: Readonly<Record<string, unknown>>
}

const TEXT = { type: 'string' }
const BYTES = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER }
const BOOLEAN = { type: 'string', enum: ['?1', '?0'] }

/** Every header field that a request may bring or an answer may have, by its name. */
export const FIELDS: Readonly<Record<string, Field>> = {
  'Accept-Patch': { description: 'The type of a body that goes on with an upload', schema: TEXT },
  'Accept-Ranges': { description: 'Parts of it can be asked for', schema: { type: 'string', enum: ['bytes'] } },
  'Cache-Control': { description: 'Who may keep the response, and for how long', schema: TEXT },
  'Content-Digest': { description: 'Digests of this body (RFC 9530), by sha-256 or sha-512', schema: TEXT },
  'Content-Disposition': { description: 'The name of the file', schema: TEXT },
  'Content-Encoding': { description: 'The coding of the whole, which is stored as it comes', schema: TEXT },
  'Content-Range': { description: 'The bytes that follow, of how many', schema: TEXT },
  'Content-Security-Policy': { description: 'What the file may do in a browser: nothing', schema: TEXT },
  ETag: { description: 'Names these bytes', schema: TEXT },
  'If-Match': { description: 'Answer only if the upload has this ETag', schema: TEXT },
  'If-Modified-Since': { description: 'Answer only if the upload is newer', schema: TEXT },
  'If-None-Match': { description: 'Answer only if the upload has another ETag', schema: TEXT },
  'If-Range': { description: 'The range counts only for this ETag or date', schema: TEXT },
  'If-Unmodified-Since': { description: 'Answer only if the upload is not newer', schema: TEXT },
  'Last-Modified': { description: 'When the last byte came', schema: TEXT },
  Location: { description: 'The URL of the upload', schema: { type: 'string', format: 'uri-reference' } },
  Range: { description: 'The bytes that are wanted: one range', schema: TEXT },
  'Repr-Digest': { description: 'Digests of the whole upload (RFC 9530), by sha-256 or sha-512', schema: TEXT },
  'Retry-After': { description: 'When to try again, in seconds', schema: { type: 'integer', minimum: 0 } },
  'Tus-Checksum-Algorithm': { description: 'The algorithms that Upload-Checksum may name, behind commas', schema: TEXT },
  'Tus-Extension': { description: 'The extensions of tus that are offered, behind commas', schema: TEXT },
  'Tus-Max-Size': { description: 'The largest upload, in bytes', schema: BYTES },
  'Tus-Resumable': { description: 'The version of tus that is spoken', schema: { type: 'string', enum: ['1.0.0'] } },
  'Tus-Version': { description: 'The versions of tus that are offered', schema: TEXT },
  'Upload-Checksum': { description: 'The algorithm and the Base64 digest of this body', schema: TEXT },
  'Upload-Complete': { description: 'Whether this is the end of the upload; Upload-Incomplete in version 3', schema: BOOLEAN },
  'Upload-Concat': { description: "'partial', or 'final;' and the URLs of partial uploads", schema: TEXT },
  'Upload-Defer-Length': { description: 'The length follows later', schema: { type: 'string', enum: ['1'] } },
  'Upload-Draft-Interop-Version': { description: 'The version of the draft', schema: TEXT },
  'Upload-Expires': { description: 'When the upload expires', schema: TEXT },
  'Upload-Length': { description: 'The length of the whole upload, in bytes', schema: BYTES },
  'Upload-Limit': { description: 'Limits in bytes and seconds: max-size, max-append-size, max-age', schema: TEXT },
  'Upload-Metadata': { description: 'Keys and Base64 values, behind commas', schema: TEXT },
  'Upload-Offset': { description: 'How many bytes are there', schema: BYTES },
  'Want-Repr-Digest': { description: 'The digests of the whole upload that are wanted (RFC 9530)', schema: TEXT },
  'X-Content-Type-Options': { description: 'The type is the one that is said', schema: { type: 'string', enum: ['nosniff'] } }
}
