/**
 * What is wrong with an answer, in words; empty for a right one.
 *
 * @param exchange what was asked, and what was known when it was: see exchange.mjs
 * @param journal the upload that it was about; `null` for one that is to be created
 * @param stopping whether a server was told to stop lately
 * @param fences whether a request at one server makes the bytes come to nothing that another one has in hand, instead of waiting for them
 */
export function judge (exchange, { status, headers, body }, journal, stopping, fences = false) {
  if (status === 503 && stopping) return []
  if (status >= 500) return [`answers ${status}: ${body.slice(0, 200)}`]
  const offset = headers['upload-offset'] === undefined ? null : Number(headers['upload-offset'])
  return [
    ...journal ? judgeState(exchange, status, journal) : [],
    ...journal && offset !== null ? judgeOffset(exchange, offset, journal) : [],
    ...JUDGES[exchange.method]?.({ ...exchange, fences }, { status, headers, body, offset }, journal) ?? []
  ]
}

function judgeState ({ wasGone }, status, { state }) {
  const missing = status === 404 || status === 410
  if (wasGone && !missing) return [`answers ${status} after the upload was removed`]
  if (missing && state === 'alive') return [`answers ${status} though nobody removed the upload`]
  return []
}

function judgeOffset ({ floor }, offset, { reach, length }) {
  return [
    ...offset < floor ? [`the offset went back: ${offset}, after ${floor} was acknowledged`] : [],
    ...!reach.has(offset) ? [`the offset is ${offset}, where no body can have led: ${reach}`] : [],
    ...length !== null && offset > length ? [`the offset is ${offset}, beyond the length of ${length}`] : []
  ]
}

const JUDGES = {
  POST: (exchange, { status, headers, offset }) => [
    // One that was to bring everything, and was taken over, is no success in the draft. In tus it is one, with its offset.
    ...allow(status, 201, ...exchange.mayBeTakenOver ? [423] : [], ...exchange.checksum === 'wrong' ? [460] : []),
    // One that a shutdown interrupted was not looked at: the upload is there, without a byte of it.
    ...exchange.checksum === 'wrong' && status === 201 && offset !== 0 ? ['takes a body with a wrong checksum'] : [],
    ...status === 201 && !headers.location ? ['201 without Location'] : []
  ],

  HEAD: (exchange, { status, headers, offset }, { length, final, deferred }) => [
    ...allow(status, 200, 404, 410),
    ...status === 200 && offset === null && !final ? ['200 without Upload-Offset'] : [],
    ...status === 200 && length !== null && !deferred && !final && headers['upload-length'] !== String(length) ? [`the length is ${headers['upload-length']} instead of ${length}`] : []
  ],

  PATCH: ({ checksum, offset: asked, end, floor, whole, fences }, { status, offset }) => [
    ...allow(status, 204, 404, 410, 409, 423, ...checksum === 'wrong' ? [460] : []),
    ...status === 204 && checksum === 'wrong' ? ['takes a body with a wrong checksum'] : [],
    ...status === 204 && asked < floor ? [`takes a body at ${asked}, after ${floor} was acknowledged`] : [],
    // A body that was cut short by its client may still have brought the last byte.
    ...status === 204 && whole && offset !== end ? [`204 at ${offset} for a body that ends at ${end}`] : [],
    ...status === 409 && offset === asked && !fences ? [`409 at the very offset that was asked for: ${offset}`] : [],
    ...status === 409 && offset === null ? ['409 without Upload-Offset'] : []
  ],

  DELETE: (exchange, { status }) => allow(status, 204, 404, 410)
}

function allow (status, ...allowed) {
  return status < 500 && !allowed.includes(status) ? [`answers ${status}`] : []
}
