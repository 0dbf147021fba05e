import t from 'tap'
import { formatMetadata, parseInteger, parseMetadata } from '../../lib/protocols/tus-headers.js'
import { tus } from '../../lib/protocols/tus.js'

t.test('parseInteger', async t => {
  t.equal(parseInteger('Upload-Offset', undefined), null, 'absent')
  for (const [value, number] of [['0', 0], ['7', 7], ['007', 7], ['9007199254740991', Number.MAX_SAFE_INTEGER]] as const) {
    t.equal(parseInteger('Upload-Offset', value), number)
  }
  for (const value of ['', ' ', '-1', '+1', '1.0', '1e3', '0x1', '1 ', '\n1', '1\n', '９', '9007199254740992', '1'.repeat(21), ['1'], ['1', '1']]) {
    t.throws(() => parseInteger('Upload-Offset', value), { code: 'TUS_ERR_HEADER_INVALID', statusCode: 400, message: /^Upload-Offset must be/ }, JSON.stringify(value))
  }
})

t.test('parseMetadata', async t => {
  const cases: ReadonlyArray<readonly [header: string, metadata: Record<string, string>]> = [
    ['', {}], ['a', { a: '' }], ['a ', { a: '' }], ['a eA==', { a: 'x' }], ['a eA', { a: 'x' }], ['a eHk=', { a: 'xy' }], ['a eHk', { a: 'xy' }], ['a eHl6', { a: 'xyz' }],
    ['a eA==,b eQ==', { a: 'x', b: 'y' }], ['a eA==, b eQ==', { a: 'x', b: 'y' }], ['a,b,c', { a: '', b: '', c: '' }],
    ['n w7w=', { n: 'ü' }], ['__proto__ eA==', JSON.parse('{"__proto__":"x"}')], ['A eA==,a eQ==', { A: 'x', a: 'y' }]
  ]
  for (const [header, metadata] of cases) t.strictSame(Object.entries(parseMetadata(header, 100)), Object.entries(metadata), `'${header}'`)
  t.equal(Object.getPrototypeOf(parseMetadata('a', 100)), null)
  for (const header of [',', 'a,', ',a', ' ', 'a  eA==', 'a eA== b', 'a e', 'a eA=', 'a e===', 'a a-_a', 'a,a', '__proto__,__proto__']) {
    t.throws(() => parseMetadata(header, 100), { code: 'TUS_ERR_METADATA_INVALID', statusCode: 400 }, `'${header}'`)
  }
  t.doesNotThrow(() => parseMetadata('a'.repeat(100), 100))
  t.throws(() => parseMetadata('a'.repeat(101), 100), { code: 'TUS_ERR_METADATA_TOO_LARGE', statusCode: 400 })
})

t.test('formatMetadata is the inverse', async t => {
  const metadata = { name: 'Grüße 🎈', empty: '', b: 'x,y z' }
  t.strictSame({ ...parseMetadata(formatMetadata(metadata), 1000) }, metadata)
  t.equal(formatMetadata({}), '')
  t.equal(formatMetadata({ a: 'x', b: '' }), 'a eA==,b')
})

t.test('an error that the protocol does not know gets no status from it', async t => {
  const offer = { extensions: new Set<never>(), maxSize: null, maxAppendSize: null, lifetime: null, checksumAlgorithms: [], maxMetadataSize: 0 }
  const message = { method: 'HEAD', headers: {}, getTrailers: () => ({}), getIdOf: () => null, getContent: () => ({ present: false, declared: 0 }), isEmpty: async () => true }
  const { status, headers } = tus.encodeError(new Error('of the application'), { message, offer, upload: null, expiry: null, byApplication: false })
  t.equal(status, 0)
  t.same(headers, { 'tus-resumable': '1.0.0', 'cache-control': 'no-store' })
})
