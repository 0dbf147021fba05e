import type { FastifyRequest } from 'fastify'
import { hookCalls } from './channels.js'
import { TUS_ERR_HOOK_FAILED, TUS_ERR_HOOK_INVALID, TUS_ERR_HOOK_UNKNOWN } from './errors.js'
import { checkDecision, checkFinish, isHeaders } from './hook-results.js'
import type { Log } from './log.js'
import type { Metadata, NewUpload, Upload } from './upload.js'

/** What a request is about to do with an upload. */
export type AccessAction = 'inspect' | 'append' | 'terminate' | 'download' | 'concatenate'

/** What `preCreate` may decide about an upload that is about to be stored. */
export interface CreateDecision {
  readonly id?: string
  readonly metadata?: Metadata
  readonly serverMetadata?: Readonly<Record<string, unknown>>
  readonly expiresAt?: Date | null
}

/** What `preFinish` may add to the response that tells the client that all bytes are there. */
export interface FinishDecision {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

type Awaitable<Value> = Value | Promise<Value>

/**
 * The points in the life of an upload at which an application can step in. `request` is `null` where no request is
 * the cause: the application called `app.tus`.
 *
 * A `pre…` hook that throws an error with a `statusCode` from 400 to 599 refuses the request with that status, and with the `headers` of the
 * error if it has some; so does an exception of Nest. Any other throw is a 500 that does not show its message. A `post…` hook that throws is logged and changes nothing.
 */
export interface LifecycleHooks {
  /**
   * On HEAD, PATCH, DELETE and GET, and for each part that a final upload names, before any byte of the body is read. Throws to refuse. An error
   * with `statusCode` 404 hides the upload: the client is told what it is told of an id that never existed.
   */
  preAccess (request: FastifyRequest, upload: Upload, action: AccessAction): Awaitable<void>
  /** Before anything is stored. Throws to refuse. */
  preCreate (request: FastifyRequest, draft: NewUpload): Awaitable<CreateDecision | void>
  /** The upload is durable. */
  postCreate (request: FastifyRequest, upload: Upload): Awaitable<void>
  /**
   * Bytes became durable: at the end of a request, and during a long one at most every `progressInterval`. Throws
   * {@link StopUpload} to end the upload and remove it.
   */
  postReceive (request: FastifyRequest, upload: Upload): Awaitable<void>
  /** All bytes are there; the upload is not complete yet. Throws to refuse: the next HEAD or PATCH tries again. */
  preFinish (request: FastifyRequest | null, upload: Upload): Awaitable<FinishDecision | void>
  /** The upload is complete and readable. Not for partial uploads. */
  postFinish (request: FastifyRequest | null, upload: Upload): Awaitable<void>
  /** Before removal. Throws to refuse. */
  preTerminate (request: FastifyRequest | null, upload: Upload): Awaitable<void>
  /** Removed. */
  postTerminate (request: FastifyRequest | null, upload: Upload): Awaitable<void>
  /** The sweeper removed it. */
  postExpire (upload: Upload): Awaitable<void>
  /** A request on the upload failed after its body began. */
  postFail (request: FastifyRequest, upload: Upload, error: Error): Awaitable<void>
}

/** The request that hooks see; nothing below the routes looks inside. */
export type HookRequest = FastifyRequest

/** Thrown by a `postReceive` hook: ends the upload and removes it. The message goes to the client. */
export class StopUpload extends Error {
  override readonly name = 'StopUpload'
  readonly statusCode: number

  /** @param statusCode of the response, from 400 to 599, default 400; anything else is 400 as well */
  constructor (message: string, { statusCode = 400 }: { statusCode?: number } = {}) {
    super(message)
    this.statusCode = isErrorStatus(statusCode) ? statusCode : 400
  }
}

export type HookName = keyof LifecycleHooks
type Arguments<Name extends HookName> = Parameters<LifecycleHooks[Name]>
type Result<Name extends HookName> = Exclude<Awaited<ReturnType<LifecycleHooks[Name]>>, void>
type SimplePreHook = Exclude<PreHook, 'preCreate'>
type PreHook = Extract<HookName, `pre${string}`>
type PostHook = Extract<HookName, `post${string}`>

/** The lifecycle hooks of one instance of the plugin, run in the order in which they were added. */
export class Hooks {
  readonly #table: { [Name in HookName]: Array<LifecycleHooks[Name]> } = {
    preAccess: [],
    preCreate: [],
    postCreate: [],
    postReceive: [],
    preFinish: [],
    postFinish: [],
    preTerminate: [],
    postTerminate: [],
    postExpire: [],
    postFail: []
  }

  add<Name extends HookName> (name: Name, hook: LifecycleHooks[Name]): void {
    if (!Object.hasOwn(this.#table, name)) throw TUS_ERR_HOOK_UNKNOWN({ hook: String(name) })
    if (typeof hook !== 'function') throw TUS_ERR_HOOK_INVALID({ hook: name })
    this.#table[name].push(hook)
  }

  has (name: HookName): boolean {
    return this.#table[name].length > 0
  }

  /** Runs the hooks that decide about a new upload, each on what those before it left. */
  async runPreCreate (log: Log, request: FastifyRequest, draft: NewUpload): Promise<NewUpload> {
    let decided = draft
    for (const hook of this.#table.preCreate) {
      try {
        decided = { ...decided, ...checkDecision(await call('preCreate', hook, [request, freeze(decided)], decided)) }
      } catch (error) {
        throw asRefusal('preCreate', error, log)
      }
    }
    return decided
  }

  /** Runs the hooks that hear of bytes, and resolves to the wish of one to end the upload. */
  async runReceive (log: Log, request: FastifyRequest, upload: Upload): Promise<StopUpload | null> {
    for (const hook of this.#table.postReceive) {
      try {
        await call('postReceive', hook, [request, upload], upload)
      } catch (error) {
        if (error instanceof StopUpload) return error
        log.error({ err: error, hook: 'postReceive' }, 'a lifecycle hook failed')
      }
    }
    return null
  }

  /** Runs hooks that may refuse, and resolves to what they returned. */
  async runPre<Name extends SimplePreHook> (name: Name, log: Log, ...args: Arguments<Name>): Promise<Array<Result<Name>>> {
    const results: Array<Result<Name>> = []
    for (const hook of this.#table[name]) {
      try {
        const result = await call(name, hook, args, getSubject(args))
        if (name === 'preFinish') checkFinish(result)
        if (result) results.push(result as Result<Name>)
      } catch (error) {
        throw asRefusal(name, error, log)
      }
    }
    return results
  }

  /** Runs hooks that only report: none of them can fail. */
  async runPost<Name extends PostHook> (name: Name, log: Log, ...args: Arguments<Name>): Promise<void> {
    for (const hook of this.#table[name]) {
      try {
        await call(name, hook, args, getSubject(args))
      } catch (error) {
        log.error({ err: error, hook: name }, 'a lifecycle hook failed')
      }
    }
  }
}

/** A hook decides by what it returns: what it would change in place, the client would not be told of. */
function freeze (draft: NewUpload): NewUpload {
  Object.freeze(draft.metadata)
  Object.freeze(draft.serverMetadata)
  return Object.freeze(draft)
}

function call (name: HookName, hook: unknown, args: unknown[], { id }: NewUpload): unknown {
  const run = hook as (...args: unknown[]) => unknown
  return hookCalls.hasSubscribers ? hookCalls.tracePromise(async () => run(...args), { hook: name, id }) : run(...args)
}

/** The upload stands behind the request, where there is one. */
function getSubject (args: readonly unknown[]): Upload {
  return (args.length === 1 ? args[0] : args[1]) as Upload
}

/** What to answer where a function of the application failed: what it threw, if that is a refusal. */
export function asRefusal (hook: string, error: unknown, log: Log): unknown {
  noteStatus(error)
  if (isRefusal(error)) return error
  log.error({ err: error, hook }, 'a lifecycle hook failed')
  return TUS_ERR_HOOK_FAILED({ hook }, error)
}

/** Exceptions of Nest tell their status by a method. */
function noteStatus (error: unknown): void {
  if (!(error instanceof Error) || 'statusCode' in error || !('getStatus' in error) || typeof error.getStatus !== 'function') return
  Object.assign(error, { statusCode: error.getStatus() as unknown })
}

/** What an application throws to refuse a request. */
export interface Refusal extends Error {
  readonly statusCode: number
  readonly headers?: Readonly<Record<string, string | string[]>>
}

export function isRefusal (error: unknown): error is Refusal {
  if (!(error instanceof Error)) return false
  const { statusCode, headers } = error as Partial<Refusal>
  return isErrorStatus(statusCode) && isHeaders(headers)
}

function isErrorStatus (value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 400 && (value as number) <= 599
}
