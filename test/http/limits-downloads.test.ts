import contentDisposition from 'content-disposition'
import t from 'tap'
import { makeApp } from '../support/app.js'
import { createComplete } from '../support/http-tus.js'

const SCRIPT = '<script>alert(document.domain)</script>'

t.test('no file of a stranger can run on this origin, whatever it says that it is', async t => {
  const { app } = await makeApp(t)
  const octets = 'application/octet-stream'
  const active = [
    'text/html', 'Text/HTML', 'text/html;charset=utf-8', 'text/html; charset=utf-7', 'application/xhtml+xml', 'text/xml', 'application/xml', 'text/xsl', 'application/xslt+xml', 'application/rdf+xml', 'application/rss+xml',
    'application/mathml+xml', 'image/svg+xml', 'IMAGE/SVG+XML', 'image/svg', 'text/javascript', 'application/javascript', 'application/ecmascript', 'text/jscript', 'text/vbscript', 'text/css', 'application/wasm',
    'application/x-shockwave-flash', 'multipart/related', 'multipart/x-mixed-replace; boundary=x', 'message/rfc822', 'application/x-mimearchive', 'application/vnd.wap.xhtml+xml', 'text/x-component', 'application/hta',
    'application/java-archive', 'application/x-java-jnlp-file', 'application/x-xpinstall', 'application/signed-exchange;v=b3', 'application/signed-exchange', 'application/webbundle', 'text/cache-manifest', 'application/xml-dtd'
  ]
  const disguised = [
    'text/plain; charset=utf-7', 'text/plain; charset=UTF-16', 'text/plain; charset=utf-32', 'text/plain; charset=iso-2022-jp', 'text/plain; charset=hz-gb-2312', 'text/plain; charset=x-mac-roman', 'text/plain; charset=',
    'text/plain; charset=utf-8; charset=utf-7', 'text/plain; charset="utf-7"', 'text/plain;charset=utf-8,text/html', 'text/plain\ttext/html', 'text/plain\0text/html', 'text/plain; boundary=x', 'text/plain; format=flowed', '*/*', 'text/*', 'image/png, text/html',
    'image/png;text/html', 'image/png\r\n\r\n<html>', ' text/plain', 'text /plain', 'text/plain ', 'unknown', '/', 'x/', `text/${'x'.repeat(200)}`, 'null', '[object Object]'
  ]
  for (const said of [...active, ...disguised]) {
    const { headers, body } = await app.inject(await createComplete(app, SCRIPT, { filetype: said, filename: 'page.html' }))
    t.equal(body, SCRIPT)
    t.equal(headers['content-type'], octets, encodeURIComponent(said))
    t.match(headers['content-disposition'], /^attachment; filename="page\.html"$/)
  }
})

t.test('every download says that it may not be sniffed, framed with scripts, or load anything', async t => {
  const { app } = await makeApp(t)
  for (const filetype of ['text/plain', 'image/png', 'application/pdf', 'text/html', 'video/mp4', 'application/json', 'text/csv']) {
    const url = await createComplete(app, SCRIPT, { filetype })
    const whole = await app.inject(url)
    const answers = [whole, await app.inject({ url, headers: { range: 'bytes=0-4' } }), await app.inject({ url, headers: { 'if-none-match': String(whole.headers.etag) } })]
    t.strictSame(answers.map(({ statusCode }) => statusCode), [200, 206, 304])
    for (const { headers } of answers) {
      t.equal(headers['x-content-type-options'], 'nosniff')
      const policy = String(headers['content-security-policy']).split('; ')
      t.ok(policy.includes("default-src 'none'") && policy.includes('sandbox'), policy.join('; '))
      t.notOk(policy.some(rule => /script|allow-/.test(rule)))
    }
  }
})

t.test('only what can not run is shown in place', async t => {
  const { app } = await makeApp(t)
  const disposition = async (filetype: string) => String((await app.inject(await createComplete(app, 'x', { filetype }))).headers['content-disposition'])
  for (const type of ['application/pdf', 'application/json', 'text/csv', 'text/calendar', 'text/markdown', 'application/zip', 'font/woff2', 'image/x-icon', 'image/heic', 'model/gltf-binary', 'x-world/x-vrml']) t.equal(await disposition(type), 'attachment', type)
  for (const type of ['text/plain', 'text/plain; charset=utf-8', 'text/plain;charset=ISO-8859-1', 'text/plain; charset=windows-1252', 'image/webp', 'audio/ogg', 'video/webm']) t.equal(await disposition(type), 'inline', type)
})

t.test('a name can not leave its place in the header, nor show as another', async t => {
  const { app } = await makeApp(t)
  const disposition = async (filename: string) => {
    const response = await app.inject(await createComplete(app, 'x', { filename }))
    t.equal(response.statusCode, 200)
    return String(response.headers['content-disposition'])
  }
  t.equal(await disposition('a"; filename="b.html'), 'attachment; filename="a\\"; filename=\\"b.html"')
  for (const name of ['a\\"; x="y', 'a"; x="y', 'a\\', '"', '\\"', 'a; x=y', 'a, inline', "a'; x*=UTF-8''y", 'a\u{1f388}"; x="y']) {
    const { type, parameters } = contentDisposition.parse(await disposition(name))
    t.strictSame({ type, names: Object.keys(parameters) }, { type: 'attachment', names: ['filename'] }, encodeURIComponent(name))
  }
  t.notMatch(await disposition('a.txt\r\nContent-Type: text/html\r\n\r\n<script>'), /[\r\n]/)
  for (const name of ['/etc/passwd', '../../x', 'a/b/c', 'x/..']) t.notMatch(await disposition(name), /filename="[^"]*\//, name)
  for (const character of ['\u202e', '\u202d', '\u2066', '\u2069', '\u200f', '\u061c', '\u2028']) t.equal(await disposition(`photo${character}gpj.exe`), 'attachment; filename="photo_gpj.exe"')
  t.equal(await disposition('%0d%0aset-cookie:a'), "attachment; filename=\"%0d%0aset-cookie:a\"; filename*=UTF-8''%250d%250aset-cookie%3Aa")
})

t.test('a name is no longer than a file system takes one, and keeps its ending', async t => {
  const { app } = await makeApp(t)
  const disposition = async (filename: string) => String((await app.inject(await createComplete(app, 'x', { filename }))).headers['content-disposition'])
  t.equal(await disposition(`${'a'.repeat(251)}.txt`), `attachment; filename="${'a'.repeat(251)}.txt"`)
  t.equal(await disposition(`${'a'.repeat(2000)}.txt`), `attachment; filename="${'a'.repeat(251)}.txt"`)
  t.equal(await disposition('a'.repeat(2000)), `attachment; filename="${'a'.repeat(255)}"`)
  const balloons = await disposition(`${'🎈'.repeat(700)}.png`)
  t.equal(decodeURIComponent(/filename\*=UTF-8''(.*)$/.exec(balloons)![1]!), `${'🎈'.repeat(251)}.png`)
})

t.test('a name that the application made of half a character does not break the download', async t => {
  const { app } = await makeApp(t)
  app.tus.addHook('preCreate', () => ({ metadata: { filename: 'a\ud83c.txt' } }))
  const { statusCode, headers } = await app.inject(await createComplete(app, 'x'))
  t.equal(statusCode, 200)
  t.equal(headers['content-disposition'], 'attachment; filename="a_.txt"')
})
