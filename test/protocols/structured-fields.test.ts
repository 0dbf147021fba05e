import t from 'tap'
import { Decimal, formatBoolean, formatDictionary, parseDictionary, parseItem, Token, type BareItem } from '../../lib/protocols/structured-fields.js'

const read = (text: string): BareItem | null => {
  const item = parseItem(text)
  return item && item.value
}

t.test('an item is a boolean, written ?1 or ?0 and in no other way', async t => {
  t.equal(read('?1'), true)
  t.equal(read('?0'), false)
  t.equal(read('  ?1  '), true, 'spaces around it')
  for (const text of ['?2', '?', '??1', '? 1', '?1 ?1', '?1,?1', '?01', '?T', '\t?1', '?1\t', '']) t.equal(read(text), null, JSON.stringify(text))
  // Text that is something else is something else.
  t.equal(read('1'), 1)
  t.match(read('true'), new Token('true'))
})

t.test('an item is an integer of up to 15 digits', async t => {
  for (const [text, value] of [['0', 0], ['42', 42], ['-42', -42], ['00', 0], ['042', 42], ['-0', -0], ['999999999999999', 999_999_999_999_999], ['-999999999999999', -999_999_999_999_999]] as const) {
    t.equal(read(text), value, text)
  }
  for (const text of ['1000000000000000', '-1000000000000000', '--0', '-', '+1', '- 1', '-a', '1 2', '4,2', '0x10', '1e3', '١']) t.equal(read(text), null, text)
})

t.test('an item is a decimal of 12 and 3 digits', async t => {
  for (const [text, value] of [['1.5', 1.5], ['-1.5', -1.5], ['1.0', 1], ['100000000000.1', 100_000_000_000.1], ['0.001', 0.001]] as const) t.strictSame(read(text), new Decimal(value), text)
  for (const text of ['1.', '.1', '1.1234', '1000000000000.1', '1.5.4', '1..4', '-1.', '-.1']) t.equal(read(text), null, text)
})

t.test('an item is a string of printable ASCII', async t => {
  for (const [text, value] of [['""', ''], ['"foo"', 'foo'], ['"b\\"a\\\\r"', 'b"a\\r'], ['"   "', '   '], ['"5"', '5']] as const) t.equal(read(text), value, text)
  for (const text of ['"', '"foo', 'foo"', '"a\\b"', '"\\', '"\n"', '"é"', "'foo'", '"\x7f"', '"foo" "bar"']) t.equal(read(text), null, JSON.stringify(text))
})

t.test('an item is a token', async t => {
  for (const text of ['a', 'a_b-c.d3:f%00/*', '*', 'FOO', 'a!#$%&\'*+-.^_`|~']) t.strictSame(read(text), new Token(text), text)
  for (const text of ['a b', 'a,b', 'é', '-a', '/a', '{a}']) t.equal(read(text), null, text)
})

t.test('an item is a byte sequence in Base64, padded or not', async t => {
  for (const [text, value] of [[':aGVsbG8=:', 'hello'], [':aGVsbG8:', 'hello'], ['::', ''], [':iZ==:', '\x89']] as const) {
    t.equal(Buffer.from(read(text) as Uint8Array).toString('latin1'), value, text)
  }
  for (const text of [':aGVsbG8=', 'aGVsbG8=:', ':aGVsb G8=:', ':aGVsbG!=:', ':aGVsbG8-:', ':=:', ':aG=VsbG8=:', ':a:', ':aGVsbG8===:']) t.equal(read(text), null, text)
})

t.test('an item is a date or a display string', async t => {
  t.strictSame(read('@1659578233'), new Date(1_659_578_233_000))
  t.strictSame(read('@-1'), new Date(-1000))
  t.equal(read('%"This is intended for display to %c3%bcsers."'), 'This is intended for display to üsers.')
  for (const text of ['@', '@1.5', '@"1"', '%"%C3%BC"', '%"%c3"', '%"a', '%a"', '%"%"', '%"é"']) t.equal(read(text), null, text)
})

t.test('an item has parameters, which may come to nothing', async t => {
  const item = parseItem('?1;a;b=2; c="x";a=:AA==:')
  t.equal(item?.value, true)
  t.strictSame([...item!.parameters.keys()], ['b', 'c', 'a'])
  t.equal(item!.parameters.get('b'), 2)
  t.equal(item!.parameters.get('c'), 'x')
  for (const text of ['?1;', '?1;A', '?1 ;a', '?1;a=', '?1;a= 1', '?1;=1', '?1;1']) t.equal(parseItem(text), null, text)
})

t.test('a dictionary has members of any kind, and a key counts as it came last', async t => {
  const dictionary = parseDictionary('max-size=5, a;q=1 ,\tb=(1 "x";y  tok), c=?0,max-size=7,  d=:AA==:')!
  t.strictSame([...dictionary.keys()], ['a', 'b', 'c', 'max-size', 'd'])
  t.match(dictionary.get('a'), { value: true })
  t.match(dictionary.get('b'), { items: [{ value: 1 }, { value: 'x' }, { value: new Token('tok') }] })
  t.match(dictionary.get('c'), { value: false })
  t.match(dictionary.get('max-size'), { value: 7 })
  t.equal(parseDictionary('')!.size, 0)
  t.equal(parseDictionary('   ')!.size, 0)
  t.match(parseDictionary('a=()')!.get('a'), { items: [] })
  for (const text of ['a=1,', 'a=1,,b=2', ',a=1', 'a=1 b=2', 'A=1', '1=a', 'a==1', 'a=', 'a =1', 'a= 1', 'a=(1', 'a=1)', 'a=(1,2)', 'a=(1"x")', 'a=((1))', '=1', '\ta=1']) {
    t.equal(parseDictionary(text), null, JSON.stringify(text))
  }
})

t.test('writes booleans and dictionaries of numbers and bytes', async t => {
  t.equal(formatBoolean(true) + formatBoolean(false), '?1?0')
  t.equal(formatDictionary({ 'max-size': 5, 'sha-256': Buffer.from('hello') }), 'max-size=5, sha-256=:aGVsbG8=:')
  t.equal(formatDictionary({}), '')
})
