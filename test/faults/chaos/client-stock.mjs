import { Readable } from 'node:stream'
import { DefaultHttpStack, Upload } from 'tus-js-client'
import { makeContent, readAll } from './content.mjs'
import { Exchange } from './exchange.mjs'
import { retire } from './finish.mjs'
import { Journal } from './journal.mjs'
import { verifyDownload } from './verify.mjs'
import { getWords, needsEnd } from './words.mjs'

/** tus-js-client as people use it, until the run stops: every upload must succeed, however often its server dies. */
export async function runStockClient (run, random, name) {
  for (let number = 0; !run.stopped; number++) {
    await uploadWithStockClient(run, random, `${run.seed}/${name}/${number}`)
  }
}

async function uploadWithStockClient (run, random, seed) {
  const content = makeContent(seed, random.chance(0.05) ? 0 : random.size(4 * 1024 * 1024))
  const options = chooseOptions(random, content)
  const observer = new Observer(run, random, seed, content, JSON.stringify(options))
  const failure = await upload(run, makeInput(content, options), { ...options, ...observer.options })
  const journal = observer.journal
  if (failure !== null) return run.violate(`tus-js-client gave up: ${failure}`, journal)
  if (journal === null) return run.violate('tus-js-client knows of no upload')
  if (await verifyDownload(run, random, journal)) await retire(run, random, journal)
}

function chooseOptions (random, { length }) {
  const way = random.weighted(needsEnd() ? [[6, 'whole'], [2, 'deferred']] : [[6, 'whole'], [2, 'parallel'], [2, 'deferred']])
  const size = Math.max(1000, Math.ceil(length / 10), random.size(length))
  // tus-js-client waits for ever where a stream ends at the end of a chunk.
  const chunkSize = length % size === 0 ? size + 1 : size
  return {
    ...needsEnd() && { protocol: random.pick(['ietf-draft-03', 'ietf-draft-05']) },
    uploadDataDuringCreation: random.chance(0.4),
    ...way === 'whole' && random.chance(0.5) && { chunkSize },
    ...way === 'parallel' && length >= 1000 && { parallelUploads: random.int(2, 4) },
    ...way === 'deferred' && length > 0 && { uploadLengthDeferred: true, chunkSize }
  }
}

/** A stream where the length shall not be known. */
function makeInput (content, { uploadLengthDeferred }) {
  return uploadLengthDeferred ? Readable.from(readAll(content), { objectMode: false }) : content.read(0, content.length)
}

/** Resolves to `null`, or to the reason why the client gave up. */
function upload (run, input, options) {
  let starts = 1
  return new Promise(resolve => {
    // It tries everything again by itself but the creation of the final upload: that takes somebody who starts it once more.
    const fail = error => {
      if (!options.parallelUploads || starts++ === MOST_STARTS) return settle(error.message)
      run.figures.count('answers', 'tus-js-client started again')
      setTimeout(() => client.start(), 100)
    }
    const settle = reason => {
      clearTimeout(timer)
      resolve(reason)
    }
    const client = new Upload(input, {
      endpoint: `http://127.0.0.1:${run.servers.anyPort}/files`,
      retryDelays: Array(600).fill(50),
      ...options,
      onSuccess: () => settle(null),
      onError: fail
    })
    const timer = setTimeout(() => {
      client.abort().catch(() => {})
      settle(`not done within ${DEADLINE} ms`)
    }, DEADLINE)
    client.start()
  })
}

/** Sees every request of one client, and keeps a journal of each upload that it creates. */
class Observer {
  /** The upload that will be the file; `null` until it is known. */
  journal = null
  #run
  #how
  #seed
  #content
  #exchanges = new WeakMap()

  constructor (run, random, seed, content, how) {
    this.#run = run
    this.#how = how
    this.#seed = seed
    this.#content = content
    this.options = {
      httpStack: createHttpStack(run, random),
      onBeforeRequest: request => this.#onRequest(request),
      onAfterResponse: (request, response) => this.#onResponse(request, response),
      onShouldRetry: error => this.#shouldRetry(error)
    }
  }

  #onRequest (request) {
    const journal = this.#run.journals.get(new URL(request.getURL()).pathname) ?? null
    const offset = Number(request.getHeader('Upload-Offset') ?? 0)
    const end = this.#content.length
    // How much the client will send is its own business: it may be all.
    if (journal && request.getMethod() === 'PATCH') journal.reach.add(offset, journal.content?.length ?? end)
    this.#exchanges.set(request, { journal, exchange: new Exchange(this.#run, journal, request.getMethod(), { offset, end, how: 'tus-js-client', checksum: null }) })
  }

  #onResponse (request, response) {
    const { journal, exchange } = this.#exchanges.get(request)
    const offset = response.getHeader('Upload-Offset')
    const headers = {
      ...offset !== undefined && { 'upload-offset': offset },
      location: response.getHeader('Location'),
      'upload-length': response.getHeader('Upload-Length'),
      'upload-complete': response.getHeader('Upload-Complete')
    }
    exchange.settle(getWords().read(request.getMethod(), { status: response.getStatus(), headers, body: response.getBody() ?? '' }))
    if (journal === null && response.getStatus() === 201) this.#open(request, headers)
  }

  #open (request, headers) {
    const concat = request.getHeader('Upload-Concat')
    const partial = concat === 'partial'
    const final = concat?.startsWith('final;') ?? false
    const deferred = request.getHeader('Upload-Defer-Length') !== undefined
    const journal = this.#run.add(new Journal({
      path: new URL(headers.location).pathname,
      content: partial ? null : this.#content,
      seed: this.#seed,
      kind: partial ? 'stock partial' : 'stock',
      deferred,
      partial,
      final
    }))
    journal.reach.add(0, this.#content.length)
    journal.acknowledged = Number(headers['upload-offset'] ?? 0)
    journal.note(`created by tus-js-client with ${this.#how}${final ? ` from ${concat.slice(6)}` : ''}`)
    if (!partial) this.journal = journal
  }

  /** As tus-js-client does by itself, but not at once: everybody would come back in the same moment. */
  #shouldRetry ({ originalRequest, originalResponse }) {
    const status = originalResponse?.getStatus() ?? 0
    if (status === 0 && originalRequest) this.#exchanges.get(originalRequest)?.exchange.fail('connection lost')
    return status < 400 || status >= 500 || status === 409 || status === 423
  }
}

/** Sends each request to a server of its own choice. */
function createHttpStack (run, random) {
  const stack = new DefaultHttpStack()
  return {
    getName: () => stack.getName(),
    createRequest (method, url) {
      const target = new URL(url)
      target.port = String(run.servers.port(random))
      return stack.createRequest(method, target.href)
    }
  }
}

const MOST_STARTS = 50
const DEADLINE = 120_000
