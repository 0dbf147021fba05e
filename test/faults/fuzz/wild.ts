import type { Attempt } from './attempt.js'
import type { Random } from './random.js'
import { getFraming, serialize, serializeBody, TUS, withHeader, makeRequest, type Header, type Request } from './request.js'

/** What may be no HTTP, or HTTP of which two parsers think differently: nobody can tell where it ends, so the connection ends with it. */
export function makeWild (random: Random, base: Request, victim: string): Attempt {
  const bytes = WILD[random.weigh(WEIGHTS)](random, base, victim)
  return {
    request: base,
    method: base.method,
    bytes,
    settle: () => null,
    refusable: false,
    ...random.chance(0.9) && { alone: true }
  }
}

type Wild = (random: Random, request: Request, victim: string) => Buffer

const WILD = {
  cut: (random, request) => serialize(request).subarray(0, random.int(serialize(request).length)),
  flip (random, request) {
    const bytes = Buffer.from(serialize(request))
    for (let left = 1 + random.int(4); left > 0; left--) bytes[random.int(bytes.length)]! ^= 1 << random.int(8)
    return bytes
  },
  insert (random, request) {
    const bytes = serialize(request)
    const at = random.int(bytes.length)
    return Buffer.concat([bytes.subarray(0, at), random.bytes(1 + random.int(20)), bytes.subarray(at)])
  },
  remove (random, request) {
    const bytes = serialize(request)
    const at = random.int(bytes.length)
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.int(30))])
  },
  repeat (random, request) {
    const bytes = serialize(request)
    const at = random.int(bytes.length)
    return Buffer.concat([bytes.subarray(0, at + random.int(bytes.length - at)), bytes.subarray(at)])
  },
  noise: random => random.bytes(1 + random.int(400)),
  greeting: random => Buffer.from(random.pick(GREETINGS), 'latin1'),
  length (random, request) {
    const { length } = request.body ?? ''
    const body = random.pick([length + 1 + random.int(5000), Math.max(0, length - 1 - random.int(50)), ...LENGTHS])
    return serialize(request, [['Content-Length', String(body)]])
  },
  chunks (random, request) {
    const head = serialize({ ...request, body: null }, [['Transfer-Encoding', 'chunked']])
    return Buffer.concat([head, Buffer.from(random.pick(CHUNKS), 'latin1')])
  },
  /** Where two headers differ about the end of the body, one reader sees the second request and the other does not. */
  smuggle (random, request, victim) {
    const hidden = serialize(makeRequest('DELETE', `/files/${victim}`, [TUS]))
    const body = Buffer.concat([Buffer.from('0\r\n\r\n'), hidden])
    return serialize({ ...request, body, chunks: 0, trailers: [] }, [['Content-Length', String(body.length)], random.pick(CODINGS)])
  },
  codings: (random, request) => serialize({ ...request, chunks: request.chunks || 1 }, [random.pick(CODINGS)]),
  lines (random, request) {
    const text = serialize({ ...request, body: null }, getFraming(request)).toString('latin1')
    return Buffer.concat([Buffer.from(random.pick(LINES)(text, random), 'latin1'), serializeBody(request)])
  },
  start: (random, request) => Buffer.from(serialize(request).toString('latin1').replace(/^.*/, random.pick(STARTS)(request)), 'latin1'),
  flood (random, request) {
    const count = random.pick([500, 1900, 2100, 3000])
    return serialize({ ...request, headers: [...request.headers, ...Array.from({ length: count }, (_, at): Header => [`x${at}`, ''])] })
  },
  long (random, request) {
    const length = random.pick([15_900, 16_300, 16_384, 16_500, 20_000, 70_000])
    return random.chance(0.5) ? serialize(withHeader(request, random.pick(['X', 'Upload-Metadata', 'Cookie']), 'a'.repeat(length))) : serialize({ ...request, path: `${request.path}${'a'.repeat(length)}` })
  },
  controls (random, request) {
    const [name, value] = random.pick(request.headers)
    const at = random.int(value.length + 1)
    return serialize(withHeader(request, name, `${value.slice(0, at)}${String.fromCharCode(random.pick([0, 1, 8, 10, 11, 12, 13, 27, 127]))}${value.slice(at)}`))
  },
  path: (random, request) => serialize({ ...request, path: random.pick(['', '*', 'x', '\0', `${request.path}\0`, `${request.path} x`, `${request.path}\xff`, '/\t', '?', '#', '//[', 'http://', 'http://[::1', 'ftp://x/y', `${request.path}\r\n\r\n`, ':80', '\\']) }),
  /** Node drops what comes behind in the same packet, as it may be of another protocol. */
  upgrade: (random, request) => serialize(withHeader(withHeader(request, 'Upgrade', random.pick(['websocket', 'h2c', 'TLS/1.0'])), 'Connection', 'Upgrade')),
  twoHosts: (random, request) => serialize({ ...request, headers: random.chance(0.5) ? [...request.headers, ['Host', 'evil.example']] : request.headers.slice(1) })
} satisfies Record<string, Wild>

const WEIGHTS: Readonly<Record<keyof typeof WILD, number>> = {
  cut: 12, flip: 22, insert: 8, remove: 8, repeat: 5, noise: 2, greeting: 2, length: 8, chunks: 6, smuggle: 6, codings: 4, lines: 6, start: 6, flood: 1, long: 2, controls: 5, path: 4, upgrade: 1, twoHosts: 2
}

const LENGTHS = ['-1', '+5', '0x5', '5, 5', '5,6', '5 5', '', ' ', '1e1', '05', '5.0', '9223372036854775807', '9223372036854775808', '18446744073709551617', '9'.repeat(30), '\xa05', '5\r\nContent-Length: 6', '5\r\nContent-Length: 5']
const CHUNKS = [
  '', '0', '0\r\n', '0\r\n\r\n', '\r\n', '-1\r\na\r\n', '+1\r\na\r\n0\r\n\r\n', 'zz\r\n', '1\r\nab\r\n0\r\n\r\n', '2\r\na', '1\na\n0\n\n', '1;x\r\na\r\n0\r\n\r\n', '1;x="\r\na\r\n0\r\n\r\n', '1;\0\r\na\r\n0\r\n\r\n', '0x1\r\na\r\n0\r\n\r\n',
  ' 1\r\na\r\n0\r\n\r\n', '1 \r\na\r\n0\r\n\r\n', '00000000000000001\r\na\r\n0\r\n\r\n', '7fffffffffffffff\r\na', 'fffffffffffffffff\r\na', `1;${'x'.repeat(20_000)}\r\na\r\n0\r\n\r\n`, `${'1;x\r\na\r\n'.repeat(3000)}0\r\n\r\n`,
  '1\r\na\r\n0\r\nUpload-Checksum\r\n\r\n', `0\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, `0\r\n${'x: y\r\n'.repeat(3000)}\r\n`, '0\r\nContent-Length: 5\r\n\r\nhello', '1\r\na0\r\n\r\n', '1\r\r\na\r\n0\r\n\r\n', '0\r\n: x\r\n\r\n'
]
const CODINGS: readonly Header[] = [
  ['Transfer-Encoding', 'chunked'], ['Transfer-Encoding', 'Chunked'], ['Transfer-Encoding', 'xchunked'], ['Transfer-Encoding', 'chunked, identity'], ['Transfer-Encoding', 'identity'], ['Transfer-Encoding', 'identity, chunked'], ['Transfer-Encoding', 'gzip, chunked'],
  ['Transfer-Encoding', 'chunked, chunked'], ['Transfer-Encoding', 'chunked\r\nTransfer-Encoding: x'], ['Transfer-Encoding', 'x\r\nTransfer-Encoding: chunked'], ['Transfer-Encoding', '\x0bchunked'], ['Transfer-Encoding', '"chunked"'], ['Transfer-Encoding', 'chunked;x=y'],
  ['Transfer-Encoding ', 'chunked'], ['Transfer-Encoding', '\r\n chunked'], ['X', 'y\nTransfer-Encoding: chunked'], ['X', 'y\rTransfer-Encoding: chunked'], ['Transfer_Encoding', 'chunked'], ['Transfer-Encoding', ''], ['Transfer-Encoding\0', 'chunked'], ['Transfer-Encoding', 'chunked\xa0']
]
const LINES: ReadonlyArray<(text: string, random: Random) => string> = [
  text => text.replaceAll('\r\n', '\n'), text => text.replaceAll('\r\n', '\r'), text => text.replace('\r\n', '\n'), text => text.replace('\r\n', '\r\n\r\n'), text => text.replace('\r\n', '\r\n folded: x\r\n'), text => text.replaceAll(': ', ' : '), text => text.replaceAll(': ', ':\r\n '),
  text => text.replace(/: .*\r\n$/m, ':\r\n'), text => `\r\n\r\n${text}`, text => `\0${text}`, text => ` ${text}`, text => text.replace('\r\n', '\r\n: x\r\n'), text => text.replace('\r\n', '\r\nnonsense\r\n'), text => text.replaceAll('Upload-', 'Upload_'), text => text.slice(0, -2), text => text.replace('\r\n', ' \r\n')
]
const STARTS: ReadonlyArray<(request: Request) => string> = [
  ({ method, path }) => `${method} ${path}`, ({ method, path }) => `${method} ${path} HTTP/0.9`, ({ method, path }) => `${method} ${path} HTTP/1.0`, ({ method, path }) => `${method} ${path} HTTP/2.0`, ({ method, path }) => `${method} ${path} HTTP/9.9`,
  ({ method, path }) => `${method} ${path} HTTP/1.10`, ({ method, path }) => `${method} ${path} http/1.1`, ({ method, path }) => `${method.toLowerCase()} ${path} HTTP/1.1`, ({ path }) => `FOO ${path} HTTP/1.1`, ({ path }) => ` ${path} HTTP/1.1`, ({ method }) => `${method} HTTP/1.1`,
  ({ method, path }) => `${method}  ${path}  HTTP/1.1`, ({ method, path }) => `${method}\t${path}\tHTTP/1.1`, ({ path }) => `CONNECT ${path} HTTP/1.1`, () => 'CONNECT evil.example:443 HTTP/1.1', () => 'OPTIONS * HTTP/1.1', ({ path }) => `${'A'.repeat(9000)} ${path} HTTP/1.1`, ({ path }) => `PRI ${path} HTTP/1.1`, ({ path }) => `SOURCE ${path} ICE/1.0`,
  ({ path }) => `QUERY ${path} HTTP/1.1`, ({ path }) => `M-SEARCH ${path} HTTP/1.1`
]
const GREETINGS = ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03', 'SSH-2.0-x\r\n', 'EHLO x\r\n', '\x05\x01\0', '*1\r\n$4\r\nPING\r\n', '\r\n\r\n\r\n\r\n', '\0', '{"a":1}\n', 'PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n']
