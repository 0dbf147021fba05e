import type { DetailedError } from 'tus-js-client'

/** A file could not be sent. */
export class SendError extends Error {
  /** `passing`: another run may get on. */
  readonly kind: 'passing' | 'final'

  constructor (message: string, kind: 'passing' | 'final') {
    super(message)
    this.kind = kind
  }
}

/** The upload is not there any more. */
export function isLost (error: unknown): boolean {
  return [404, 410].includes(getStatus(error)!)
}

/**
 * Whether another attempt may get on.
 *
 * @param place of the upload; a server that has answered once is there
 */
export function isPassing (error: unknown, place: string | null): boolean {
  if (!isOfRequest(error)) return false
  const status = getStatus(error)
  if (status === null) return place !== null || PASSING_CODES.has(getCode(error))
  return status >= 500 ? status !== 501 : PASSING.has(status)
}

/** How long to wait before the next attempt, in ms: what the server wants, or twice as long each time, up to half a minute. */
export function getDelay (error: unknown, attempts: number): number {
  const wanted = Number(isOfRequest(error) ? error.originalResponse?.getHeader('Retry-After') ?? '' : '') * 1000
  return Math.max(Math.min(wanted || 0, 300_000), Math.min(30_000, 500 * 2 ** attempts))
}

/** One line for a person, without a header or a body of the request. */
export function describe (error: unknown): string {
  if (!isOfRequest(error)) return (error as Error).message
  const status = getStatus(error)
  if (status === null) return `no answer${getCode(error) && ` (${getCode(error)})`}`
  if (status < 400) return `the server answered ${status}, but not as tus has it: is --to the URL where uploads are created?`
  const body = error.originalResponse!.getBody()?.trim() ?? ''
  return `the server answered ${status}${body && `: ${getMessage(body)}`}`
}

/** What a body of an error says, as Fastify or a plain server writes it. */
function getMessage (body: string): string {
  try {
    const { message, title } = JSON.parse(body)
    return String(message ?? title ?? body)
  } catch {
    // eslint-disable-next-line no-control-regex
    return body.slice(0, 2000).replace(/<[^>]*>|[\x00-\x1f]+/g, ' ').trim().slice(0, 200)
  }
}

function isOfRequest (error: unknown): error is DetailedError {
  return error instanceof Error && 'originalRequest' in error
}

/** `null` if there was no answer. */
function getStatus (error: unknown): number | null {
  return isOfRequest(error) ? error.originalResponse?.getStatus() ?? null : null
}

function getCode (error: DetailedError): string {
  return (error.causingError as NodeJS.ErrnoException | null)?.code ?? ''
}

const PASSING = new Set([408, 409, 423, 425, 429, 460])
const PASSING_CODES = new Set(['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN', 'EAI_AGAIN'])
