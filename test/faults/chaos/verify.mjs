import { get } from 'node:http'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { insist } from './exchange.mjs'

/** Downloads a finished upload and compares it byte for byte with what was sent; false if it could not be had. */
export async function verifyDownload (run, random, journal) {
  const outcome = await insist(run, random, journal, 'GET', () => download(run, random, journal))
  if (outcome !== null && outcome !== 'right') run.violate(`GET ${outcome}`, journal)
  return outcome === 'right'
}

/** Compares what lies on the disk. */
export async function verifyFile (run, directory, journal) {
  const outcome = await compareFile(join(directory, journal.id), journal.content)
  if (outcome !== 'right') run.violate(`on the disk: ${outcome}`, journal)
}

/** Compares the first bytes of a file with a content, up to its length or `end`. */
export async function compareFile (path, content, end = content.length) {
  const file = await open(path).catch(() => null)
  if (file === null) return 'no such file'
  try {
    const { size } = await file.stat()
    if (end === content.length && size !== end) return `${size} bytes instead of ${end}`
    return await compare(file.createReadStream({ autoClose: false, highWaterMark: 256 * 1024, ...end > 0 ? { end: end - 1 } : { start: size } }), content, end)
  } finally {
    await file.close()
  }
}

/** `null` if the connection broke. */
function download (run, random, journal) {
  const port = run.servers.port(random)
  return new Promise(resolve => {
    const lost = () => {
      run.figures.count('answers', 'GET connection lost')
      resolve(null)
    }
    const request = get({ host: '127.0.0.1', port, path: journal.path, agent: false, timeout: 120_000 }, async response => {
      run.figures.count('answers', `GET ${response.statusCode}`)
      journal.note(`GET ${response.statusCode}`)
      if (response.statusCode !== 200) {
        const text = await readText(response)
        return resolve(response.statusCode === 503 && run.stopping ? null : `answers ${response.statusCode}: ${text}`)
      }
      compare(response, journal.content, journal.length).then(resolve, lost)
    })
    request.once('timeout', () => {
      request.destroy()
      resolve('no answer within 30 s')
    })
    request.once('error', lost)
  })
}

function readText (response) {
  return response.setEncoding('utf8').toArray().then(pieces => pieces.join('').slice(0, 200), error => error.message)
}

/** 'right', or what is wrong. @throws if the stream breaks */
async function compare (stream, content, end) {
  let at = 0
  let wrong = null
  for await (const chunk of stream) {
    if (wrong === null && at + chunk.length <= end) {
      const expected = content.read(at, at + chunk.length)
      if (!expected.equals(chunk)) wrong = `byte ${at + chunk.findIndex((byte, index) => byte !== expected[index])} of ${end} is wrong`
    }
    at += chunk.length
  }
  if (wrong !== null) return wrong
  return at === end ? 'right' : `${at} bytes instead of ${end}`
}
