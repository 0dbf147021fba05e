import type { FastifyReply } from 'fastify'

const problems = new WeakMap<FastifyReply, { readonly error: Error, readonly body: string }>()

/** Notes what the body of an error shall be, unless the application has an error handler of its own. */
export function noteProblem (reply: FastifyReply, error: Error, body: string): void {
  problems.set(reply, { error, body })
}

/** Puts the body that was noted in the place of the one that Fastify makes of an error; any other stays. */
export function replaceBody (reply: FastifyReply, payload: unknown): unknown {
  const problem = problems.get(reply)
  if (problem === undefined || typeof payload !== 'string' || !isDefault(payload, problem.error)) return payload
  reply.header('content-type', 'application/problem+json').removeHeader('content-length')
  return problem.body
}

function isDefault (payload: string, { message }: Error): boolean {
  try {
    const { statusCode, error, message: said, code: _code, ...rest } = JSON.parse(payload)
    return said === message && typeof statusCode === 'number' && typeof error === 'string' && Object.keys(rest).length === 0
  } catch {
    return false
  }
}
