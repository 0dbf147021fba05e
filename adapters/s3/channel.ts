import { tracingChannel, type TracingChannel } from 'node:diagnostics_channel'

/** One call of S3, with what the SDK repeats of it, until its answer begins. */
export interface S3Message {
  /** As S3 names it: `PutObject`, `UploadPart`, … */
  readonly operation: string
  readonly bucket: string
  /** Absent where the call is about several objects. */
  readonly key: string | undefined
  error?: unknown
  result?: unknown
}

/** Lets observers see a call; costs one look where there are none. */
export function trace<Result> (command: Command, send: () => Promise<Result>): Promise<Result> {
  if (!calls.hasSubscribers) return send()
  const { Bucket: bucket, Key: key } = command.input
  return calls.tracePromise(send, { operation: command.constructor.name.replace(/Command$/, ''), bucket, key })
}

interface Command {
  readonly input: { readonly Bucket: string, readonly Key?: string }
}

const calls: TracingChannel<unknown, S3Message> = tracingChannel('fastify-tus:s3')
