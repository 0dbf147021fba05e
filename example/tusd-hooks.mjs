import { StopUpload } from 'fastify-tus'

/**
 * Tells an endpoint that was written for the HTTP hooks of tusd, and does what it answers: `RejectUpload`, `ChangeFileInfo`, `StopUpload`,
 * `RejectTermination`, `HTTPResponse`.
 *
 * @param forward headers of the request that go along, as with `-hooks-http-forward-headers`
 */
export function addTusdHooks (app, endpoint, forward = []) {
  const ask = async (type, request, upload) => {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { ...pick(request?.headers ?? {}, forward), 'content-type': 'application/json' },
      body: JSON.stringify({ Type: type, Event: { Upload: describe(upload), HTTPRequest: describeRequest(request) } }),
      signal: AbortSignal.timeout(15_000)
    })
    if (!response.ok) throw new Error(`The hook endpoint answers ${response.status} to ${type}`)
    return response.json()
  }

  app.tus.addHook('preCreate', async (request, draft) => {
    const { RejectUpload, ChangeFileInfo, HTTPResponse } = await ask('pre-create', request, draft)
    if (RejectUpload) throw refuse(HTTPResponse, 'upload creation has been rejected by server')
    return { ...ChangeFileInfo?.ID && { id: ChangeFileInfo.ID }, ...ChangeFileInfo?.MetaData && { metadata: ChangeFileInfo.MetaData } }
  })
  app.tus.addHook('postReceive', async (request, upload) => {
    const { StopUpload: stop, HTTPResponse } = await ask('post-receive', request, upload)
    if (stop) throw new StopUpload(HTTPResponse?.Body || 'upload has been stopped by server', { statusCode: HTTPResponse?.StatusCode || 400 })
  })
  app.tus.addHook('preFinish', async (request, upload) => {
    const { HTTPResponse } = await ask('pre-finish', request, upload)
    return { headers: HTTPResponse?.Header ?? {}, ...HTTPResponse?.Body && { body: HTTPResponse.Body } }
  })
  app.tus.addHook('preTerminate', async (request, upload) => {
    const { RejectTermination, HTTPResponse } = await ask('pre-terminate', request, upload)
    if (RejectTermination) throw refuse(HTTPResponse, 'upload termination has been rejected by server')
  })
  for (const type of ['post-create', 'post-finish', 'post-terminate']) {
    app.tus.addHook(type.replace(/-./, ([, letter]) => letter.toUpperCase()), async (request, upload) => { await ask(type, request, upload) })
  }
}

function describe ({ id, length, offset = 0, metadata, partial, final, parts }) {
  return {
    ID: id,
    Size: length ?? 0,
    SizeIsDeferred: length === null,
    Offset: offset,
    MetaData: metadata,
    IsPartial: partial,
    IsFinal: final,
    PartialUploads: final ? parts : null,
    Storage: null
  }
}

/** No request is the cause of a sweep, or of `app.tus.terminate()`. */
function describeRequest (request) {
  const headers = Object.entries(request?.headers ?? {}).map(([name, value]) => [name.replace(/\b[a-z]/g, letter => letter.toUpperCase()), [value].flat()])
  return { Method: request?.method ?? '', URI: request?.url ?? '', RemoteAddr: request?.ip ?? '', Header: Object.fromEntries(headers) }
}

function pick (headers, names) {
  return Object.fromEntries(names.filter(name => name.toLowerCase() in headers).map(name => [name, headers[name.toLowerCase()]]))
}

function refuse (response, message) {
  return Object.assign(new Error(response?.Body || message), { statusCode: response?.StatusCode || 400, headers: response?.Header ?? {} })
}
