import { DIALECTS, DIGESTS, NO_BOOLEANS, NO_COUNTS, WISHES } from './dialects.js'

// Values at which parsers go wrong. What a strict HTTP parser refuses as such is in `wild.ts`: it costs a connection.

export const NUMBERS = [
  '', '0', '1', '2', '-0', '-1', '+1', '00', '01', '1.0', '.5', '1e3', '0x10', '0b1', '0o7', '1_000', '1n', 'NaN', 'Infinity', '-Infinity', 'null', 'undefined', 'true', '[1]', '{}',
  '2147483647', '2147483648', '4294967295', '4294967296', '9007199254740990', '9007199254740991', '9007199254740992', '9223372036854775807', '9223372036854775808',
  '18446744073709551615', '18446744073709551616', '9'.repeat(40), '0'.repeat(21), '9'.repeat(3000), '1 1', '1,1', '1, 1', '1;1', '1\t1', '\xa01', '\xd9\xa3', '\xef\xbc\x93', '"1"'
]
export const VERSIONS = ['', '1', '1.0', '1.0.1', '0.2.2', '2.0.0', 'v1.0.0', '1.0.0,1.0.0', '1.0.0, 0.2.2', '*', '01.0.0', '1.0.0\xa0', '1.0.0;', 'a'.repeat(2000)]
export const METHODS = ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE', 'OPTIONS', 'PUT', 'TRACE', 'PROPFIND', 'MKCOL', 'COPY', 'MOVE', 'LOCK', 'SEARCH', 'REPORT', 'PURGE', 'UNLINK']
export const OVERRIDES = [
  'PATCH', 'HEAD', 'DELETE', 'POST', 'OPTIONS', 'GET', 'patch', 'delete', 'Delete', '', 'FOO', 'PUT', 'CONNECT', 'TRACE', 'PATCH, DELETE', 'DELETE ;', '*', 'constructor', '__proto__',
  'hasOwnProperty', 'D\xc9LETE', 'a'.repeat(4000)
]
export const METADATA = [
  '', ',', ',,', 'a,', ',a', 'a,,b', 'a b c', 'a  eA==', 'a =', 'a ==', 'a e', 'a eA=', 'a eA===', 'a -_-_', 'a %20', 'a "eA=="', 'a,a', 'a eA==,a eA==', 'a eA==;b eA==', '\xa0', 'a \xff\xfe',
  '\xff eA==', 'a eA==,\xa0', '__proto__ eA==', 'constructor', 'toString eA==,valueOf eA==', 'a '.repeat(500), ','.repeat(2000), 'a'.repeat(4097), `a ${'eA=='.repeat(1000)}`, `a ${'eA=='.repeat(1200)}`,
  Array.from({ length: 400 }, (_, at) => `k${at} eA==`).join(','),
  `filename ${encode('a\r\nX-Injected: 1\r\n\r\n<script>')}`, `name ${encode('../../../etc/passwd\0.png')}`, `filetype ${encode('text/html\r\nX-Injected: 1')}`, `type ${encode('image/svg+xml')},filename ${encode('"; filename="x.html')}`,
  `filename ${Buffer.from([0xff, 0xc3, 0x28, 0xed, 0xa0, 0x80]).toString('base64')}`, `filename ${encode('\u{1f388}'.repeat(500))}`, `filetype ${encode('text/plain; charset=' + 'x'.repeat(2000))}`
]
export const CONCATS = [
  '', 'partial', 'Partial', 'final', 'final;', 'final; ', 'final;;', 'final;,', 'final;/', 'final;/files', 'final;/files/', 'final;../..', 'final;http://', 'final;http://[', 'final;%00', 'final;\xff',
  'final;/files/none', 'final;/files/none /files/none', 'partial;final', 'partial, partial', 'final;file:///etc/passwd', 'final;//evil.example/x', `final;${'/files/a '.repeat(600)}`, 'final;javascript:alert(1)'
]
export const CHECKSUMS = [
  '', 'sha1', 'sha1 ', 'sha1 x', 'sha1 ====', 'sha1 \xff', 'md5 eA==', 'SHA1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=', 'sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=', 'sha1  2jmj7l5rSw0yVb/vlWAYkK/YBwk=', 'sha256 2jmj7l5rSw0yVb/vlWAYkK/YBwk=',
  'crc32 AAAAAA==', 'none AAAA', '__proto__ AAAA', 'constructor AAAA', 'sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=, md5 1B2M2Y8AsgTpgAmY7PhCfg==', `sha1 ${'A'.repeat(4000)}`, `${'a'.repeat(4000)} AAAA`
]
export const TYPES = [
  '', 'text/plain', 'application/json', 'application/octet-stream', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'nonsense', '/', ';', '*/*', 'APPLICATION/OFFSET+OCTET-STREAM',
  'application/offset+octet-stream; charset=utf-8', 'application/partial-upload', 'application/partial-upload;x=y', 'APPLICATION/Partial-Upload', 'application/partial-upload, text/plain', 'application/offset+octet-stream-x', 'application/offset+octet-stream, text/plain', '\xff/\xff', `text/${'x'.repeat(3000)}`, ' application/offset+octet-stream '
]
export const RANGES = [
  '', 'bytes', 'bytes=', 'bytes=-', 'bytes=--1', 'bytes=a-b', 'bytes=1-0', 'bytes=0-1-2', 'bytes=0-1,', 'bytes=9999999-', 'bytes=-0', 'bytes=-99999999999999999999', 'bytes=1e3-', 'bytes=0x0-1', 'items=0-1', 'bytes 0-1',
  'bytes=0-99999999999999999999', `bytes=${'0-0,'.repeat(500)}0-0`, 'bytes=0-0', 'bytes=5-', 'bytes=-3', 'Bytes=0-1', 'bytes=\xff-'
]
export const TEXTS = [
  '', ' ', '\t', '*', '"', '""', 'W/""', '\\', '%', '%00', '%zz', '\xff\xfe', '\xa0', '\xe2\x80\xae', '\xc0\xae', '$' + '{jndi:ldap://x}', "' OR 1=1 --", '<script>alert(1)</script>', '../../../../etc/passwd', '{"a":1}', '[]', '__proto__',
  'x'.repeat(1000), 'x'.repeat(6000), ',', ';', '=', 'Thu, 01 Jan 1970 00:00:00 GMT', 'Fri, 31 Dec 9999 23:59:59 GMT', '-1', '0', 'NaN'
]
/** Headers whose value may be anything; none of them says where a request ends. */
export const NAMES = [
  'Tus-Resumable', 'Upload-Offset', 'Upload-Length', 'Upload-Defer-Length', 'Upload-Metadata', 'Upload-Concat', 'Upload-Checksum', 'Content-Type', 'Content-Encoding', 'X-HTTP-Method-Override', 'Range', 'If-Range', 'If-Match',
  'If-None-Match', 'If-Modified-Since', 'If-Unmodified-Since', 'Host', 'Origin', 'Access-Control-Request-Method', 'Access-Control-Request-Headers', 'X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Forwarded-Prefix',
  'Forwarded', 'Accept', 'Accept-Version', 'Accept-Encoding', 'Authorization', 'Cookie', 'Referer', 'User-Agent', 'Trailer', 'TE', 'Via', 'Upload-Complete', 'Upload-Draft-Interop-Version', 'Upload-Expires', 'X-Request-Id', 'Request-Id',
  'Upload-Incomplete', 'Content-Digest', 'Repr-Digest', 'Want-Repr-Digest', 'Upload-Limit', 'Prefer', 'Priority', 'Keep-Alive', 'Max-Forwards', 'Date', 'Content-Range', 'Content-Disposition', 'Content-Location', '__proto__', 'constructor', 'toString'
]
/** What each of them is tried with, beside {@link TEXTS}. */
export const VALUES: Readonly<Record<string, readonly string[]>> = {
  'Tus-Resumable': VERSIONS,
  'Upload-Offset': [...NUMBERS, ...NO_COUNTS],
  'Upload-Length': [...NUMBERS, ...NO_COUNTS],
  'Upload-Defer-Length': NUMBERS,
  'Upload-Metadata': METADATA,
  'Upload-Concat': CONCATS,
  'Upload-Checksum': CHECKSUMS,
  'Content-Type': TYPES,
  'Content-Encoding': ['identity', 'gzip', 'br', 'identity, gzip', 'IDENTITY', 'chunked'],
  'X-HTTP-Method-Override': OVERRIDES,
  Range: RANGES,
  'If-Range': RANGES,
  Host: ['', 'a', 'a:b', 'evil.example', 'evil.example/x', 'a b', '[::1]', '[', 'a@b', 'a:99999', '\xff', '"', 'a?b', 'a#b', 'a\\b', '127.0.0.1:1'],
  'X-Forwarded-Proto': ['https', 'javascript', 'http,https', '\xff', 'http://x/'],
  'X-Forwarded-Host': ['evil.example', 'evil.example/x?', 'a, b', ']['],
  'X-Forwarded-Prefix': ['/a', '//evil.example', '/../..', '/a\\b', 'x'],
  'X-Forwarded-For': ['127.0.0.1', '::1', 'x', `${'1.1.1.1, '.repeat(400)}1.1.1.1`],
  Forwarded: ['for=1;host=evil.example;proto=javascript', 'for="[::1]"', 'host=";"'],
  Trailer: ['Upload-Checksum', 'upload-checksum, x', 'Content-Length', 'Transfer-Encoding'],
  'Access-Control-Request-Method': METHODS,
  'Upload-Complete': ['?0', '?1', ...NO_BOOLEANS],
  'Upload-Incomplete': ['?0', '?1', ...NO_BOOLEANS],
  'Upload-Draft-Interop-Version': ['3', '5', '6', '8', ...DIALECTS.map(({ interop }) => interop ?? '4')],
  'Content-Digest': DIGESTS,
  'Repr-Digest': DIGESTS,
  'Want-Repr-Digest': WISHES,
  'Upload-Limit': ['max-size=1', 'max-age=0', 'x', '']
}

function encode (text: string): string {
  return Buffer.from(text).toString('base64')
}
