import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parseAdoptFlags } from '../../lib/cli/adopt/flags.js'
import { runAdopt } from '../support/adopt.js'
import { makeDirectory } from '../support/app.js'
import { runCli } from '../support/server-process.js'

// The flags of adopt, and directories that are made by hand: what no server leaves as a rule.

t.test('the flags of adopt: what is missing or wrong is told', async t => {
  const fails = (message: string, ...flags: string[]) => t.throws(() => parseAdoptFlags(flags), { message }, message)
  fails('--from must be tus-server or tusd')
  fails('adopt needs --directory or --bucket', '--from', 'tusd')
  fails('adopt needs --directory or --bucket', '--from', 'tusd', '--directory', 'a', '--bucket', 'b')
  fails("--endpoint must be a URL, not 'x'", '--from', 'tusd', '--bucket', 'b', '--endpoint', 'x')
  fails("--prefix must be empty, or a path that ends with '/' and does not start with it, not '/x'", '--from', 'tusd', '--bucket', 'b', '--prefix', '/x')
  fails("--url-prefix must be a path that starts with '/', not 'x'", '--from', 'tusd', '--directory', 'a', '--url-prefix', 'x')
  fails("Unknown option '--nothing'", '--nothing')
  t.match(await runCli(['adopt', '--nothing']), { code: 2, stderr: "Unknown option '--nothing'" })
  t.match(await runCli(['adopt', '--from', 'tusd', '--directory', join(await makeDirectory(t), 'none')]), { code: 1, stderr: 'ENOENT' })
})

t.test('an upload that a process of tusd is at work on is left, and one whose process is gone is not', async t => {
  const directory = await makeDirectory(t)
  for (const id of ['busy', 'idle']) {
    await writeFile(join(directory, id), 'hello')
    await writeFile(join(directory, `${id}.info`), JSON.stringify({ ID: id, Size: 10, SizeIsDeferred: false, MetaData: {}, Storage: { Path: join('data', id), Type: 'filestore' } }))
  }
  await writeFile(join(directory, 'busy.lock'), `${process.pid}\n`)
  await writeFile(join(directory, 'idle.lock'), '999999999\n')
  const { stdout } = await runAdopt('--from', 'tusd', '--directory', directory, '--write')
  t.match(stdout, `left "busy": process ${process.pid} is at work on it\n`)
  t.match(stdout, 'adopted "idle": incomplete, 5 of 10 bytes\n')
})

t.test('uploads of tusd whose bytes or record are elsewhere, or that were not joined, are left', async t => {
  const directory = await makeDirectory(t)
  const put = async (id: string, info: object) => {
    await writeFile(join(directory, id), 'hello')
    await writeFile(join(directory, `${id}.info`), JSON.stringify({ ID: id, Size: 10, MetaData: {}, ...info }))
  }
  await put('moved', { Storage: { Path: '/elsewhere/file' } })
  await put('final', { IsFinal: true, PartialUploads: ['a', 'b'] })
  await put('taken', {})
  await put('too-long', { Size: 4 })
  await put('strange id', {})
  await put('gone', {})
  await rm(join(directory, 'gone'))
  await put('named-otherwise', { ID: 'other' })
  await put('of-no-size', { Size: -1 })
  await writeFile(join(directory, 'list.info'), '[]')
  await writeFile(join(directory, 'text.info'), 'text')
  await writeFile(join(directory, 'taken.json'), '{}')
  await put('taken-by-text', {})
  await writeFile(join(directory, 'taken-by-text.json'), 'text\n')
  const { stdout } = await runAdopt('--from', 'tusd', '--directory', directory, '--write')
  t.same(stdout.trim().split('\n').sort(), [
    'adopted 0 complete and 0 incomplete uploads, left 7',
    'left "final": a final upload that was broken off while its parts were put together: its client has to make it again',
    'left "gone": its bytes are gone',
    'left "moved": its bytes are elsewhere, in /elsewhere/file',
    'left "strange id": this server takes no such id',
    'left "taken": there is a file taken.json in the way',
    'left "taken-by-text": there is a file taken-by-text.json in the way',
    'left "too-long": it has 5 bytes of 4'
  ])
})
