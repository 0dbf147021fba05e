// What `list` and `sweep` cost over many uploads on the filesystem, with and without the index.
//
//   npm run build && node bench/million.mjs [--count 1000000] [--directory DIR] [--keep]
//
// Of the uploads, 90 % are complete, 9 % in progress, and 1 % have expired; all are two hours old, those that expired two days. Each step runs in a
// process of its own, which tells the time by the clock, the processor time, and the memory resident at most. Without `node:sqlite`, only
// the steps without the index. DIR is made, must not be there, and is removed at the end unless it is to be kept; it takes 8 GB on ext4 by default.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statfsSync, utimesSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import Fastify from 'fastify'
import { createFsStorage } from '../dist/adapters/fs/index.js'
import { serializeRecord } from '../dist/adapters/fs/record.js'
import fastifyTus from '../dist/lib/index.js'

const HOUR = 3_600_000
const STEPS = {
  start: async () => 'nothing',
  page: tus => take(tus.list(), 100),
  all: tus => take(tus.list(), Infinity),
  complete: tus => take(tus.list({ state: 'complete' }), Infinity),
  sweep: async tus => JSON.stringify(await tus.sweep()).replaceAll('"', '')
}

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '1000000' },
    directory: { type: 'string' },
    keep: { type: 'boolean', default: false },
    step: { type: 'string' },
    index: { type: 'boolean', default: false }
  }
})
const count = Number(values.count)
const hasSqlite = process.getBuiltinModule?.('node:sqlite') !== undefined

if (values.step) await runStep(values.step)
else compare()

function compare () {
  const directory = values.directory ?? join(mkdtempSync(join(tmpdir(), 'fastify-tus-million-')), 'uploads')
  mkdirSync(directory)
  try {
    makeAll(directory)
    console.log(`${count} uploads, Node ${process.version}, ${cpus().length} × ${cpus()[0].model}, file system 0x${statfsSync(directory).type.toString(16)}\n`)
    console.log('| step | index | by the clock, s | processor, s | system, s | resident at most, MiB | |\n|---|---|---|---|---|---|---|')
    measure(directory, 'start', false)
    for (const index of hasSqlite ? [false, true] : [false]) {
      for (const step of ['page', 'all', 'complete', 'sweep', ...index ? ['sweep'] : []]) measure(directory, step, index)
      makeExpired(directory)
      if (index) measure(directory, 'sweep', index)
    }
  } finally {
    if (!values.keep) rmSync(directory, { recursive: true })
  }
}

function measure (directory, step, index) {
  const args = [fileURLToPath(import.meta.url), '--step', step, '--directory', directory, ...index ? ['--index'] : []]
  const { wall, user, system, memory, result } = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }))
  console.log(`| ${step} | ${index ? 'yes' : 'no'} | ${wall.toFixed(3)} | ${(user + system).toFixed(3)} | ${system.toFixed(3)} | ${memory.toFixed(0)} | ${result} |`)
}

async function runStep (step) {
  const storage = createFsStorage({ directory: values.directory, durability: 'fsync', ...values.index && { index: true } })
  const app = Fastify()
  await app.register(fastifyTus, { storage, expiration: { incomplete: 24 * HOUR, complete: null, sweepInterval: null } })
  await app.ready()
  // The first use compares the directory with the index; the step `page` shows what that costs.
  if (values.index && step !== 'page') await STEPS.page(app.tus)
  const before = process.resourceUsage()
  const start = performance.now()
  const result = await STEPS[step](app.tus)
  const wall = (performance.now() - start) / 1000
  const after = process.resourceUsage()
  await app.close()
  console.log(JSON.stringify({
    wall,
    user: (after.userCPUTime - before.userCPUTime) / 1e6,
    system: (after.systemCPUTime - before.systemCPUTime) / 1e6,
    memory: after.maxRSS / 1024,
    result
  }))
}

async function take (uploads, most) {
  let taken = 0
  for await (const upload of uploads) if (upload.offset >= 0 && ++taken === most) break
  return `${taken} uploads`
}

function makeAll (directory) {
  for (let i = 0; i < count; i++) make(directory, i)
}

function makeExpired (directory) {
  for (let i = 0; i < count; i += 100) make(directory, i)
}

function make (directory, i) {
  const id = `${i.toString(36).padStart(5, '0')}${((i * 2654435761) >>> 0).toString(36).padStart(8, '0')}abcdefghi`
  const expired = i % 100 === 0
  const complete = i % 10 !== 0
  const createdAt = new Date(Date.now() - (expired ? 48 : 2) * HOUR)
  const upload = {
    id,
    length: complete ? 8 : 100,
    metadata: { filename: `file ${i}.bin`, filetype: 'application/octet-stream' },
    serverMetadata: {},
    echo: { metadata: `filename ${Buffer.from(`file ${i}.bin`).toString('base64')},filetype YXBwbGljYXRpb24vb2N0ZXQtc3RyZWFt` },
    partial: false,
    final: false,
    parts: [],
    completes: 'at-length',
    createdAt,
    expiresAt: null
  }
  writeAged(join(directory, id), '8 bytes.', createdAt)
  writeAged(join(directory, `${id}.json`), serializeRecord({ upload, marked: false, hold: null, finished: false, processed: false }), createdAt)
}

function writeAged (path, text, time) {
  writeFileSync(path, text)
  utimesSync(path, time, time)
}
