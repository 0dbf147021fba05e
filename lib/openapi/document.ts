import type { Context } from '../context.js'
import { describeIetf } from '../protocols/ietf-wording.js'
import { describeTus } from '../protocols/tus-wording.js'
import type { Circumstances, VerbName, Wording } from '../protocols/wording.js'
import { describeInspection, describeRetrieval } from './retrieval.js'
import { SCHEMAS, describeOperation, type Json, type Labels } from './operations.js'

/** How the routes appear in the document that @fastify/swagger makes. */
export interface OpenApiOptions {
  /** Under which headings. Default `['uploads']`. */
  readonly tags?: readonly string[]
  /** The security requirements of the routes, by the names of `components.securitySchemes`. Default: those of the document. */
  readonly security?: ReadonlyArray<Readonly<Record<string, readonly string[]>>>
}

/** What the schema of a route of the application may say for the document. */
export type OwnLabels = Partial<Labels> & { readonly hide?: boolean }

/** Which of the resources a route is for: those of the plugin, or a route of the application and the uploads of that. */
export type Resource = 'collection' | 'upload' | 'target' | 'target-upload'

/**
 * The `config` of a route by which @fastify/swagger describes it, if the application has that.
 *
 * A route here takes every method, and decides by the headers what a request is about: no schema of Fastify says that, and one that validates would change what
 * the protocols prescribe. So the routes have none. What they do is written into the document when that is made, and requests cost what they cost without it.
 *
 * @param own what the schema of a route of the application says
 */
export function createDescription (context: Context, resource: Resource, own: OwnLabels = {}): object {
  return {
    swaggerTransform: ({ route, openapiObject }: Described) => {
      // Version 2 has no words for most of it.
      if (context.options.openapi !== false && openapiObject !== undefined && !own.hide) {
        write(openapiObject, toPath(route.url, openapiObject), describeResource(context, resource, getLabels(context.options.openapi, own)))
      }
      return { schema: { hide: true }, url: route.url }
    }
  }
}

function getLabels (options: OpenApiOptions, own: Partial<Labels>): Labels {
  const security = own.security ?? options.security
  return { tags: own.tags ?? options.tags ?? ['uploads'], ...security && { security } }
}

/** What @fastify/swagger tells of a route and the document that it makes. */
interface Described {
  readonly route: { readonly url: string }
  readonly openapiObject?: OpenApiObject
}

interface OpenApiObject {
  readonly paths: Record<string, Json>
  readonly servers?: ReadonlyArray<{ readonly url: string }>
  readonly components: { schemas?: Record<string, unknown> }
}

function describeResource (context: Context, resource: Resource, labels: Labels): Record<string, Json | null> {
  const { options, storage } = context
  const wordings = getWordings(context)
  const describe = (verb: VerbName, spoken = wordings) => describeOperation(verb, spoken, labels)
  const ietf = wordings.filter(({ name }) => name !== 'tus')
  const retrieval = { wordings, asking: ietf, download: options.download !== null && storage.read !== undefined, expires: options.expiration !== null }
  switch (resource) {
    case 'target': return { options: describe('offer') }
    case 'collection': return { options: describe('offer'), post: describe('create'), put: describe('create', ietf) }
    case 'target-upload': {
      const { patch, ...rest } = describeResource(context, 'upload', labels)
      return { ...rest, patch: { ...patch!, responses: { ...patch!.responses as Json, default: { description: 'What the route answers, once all bytes are there' } } } }
    }
    case 'upload': return {
      options: describe('offer'),
      head: describeInspection(retrieval, labels),
      get: describeRetrieval(retrieval, labels),
      patch: describe('append'),
      delete: describe('terminate')
    }
  }
}

function getWordings ({ options }: Context): Wording[] {
  const offered: Circumstances = {
    extensions: options.extensions,
    maxSize: options.announcedMaxSize,
    interimResponses: options.interimResponses,
    limitsConcurrency: options.maxConcurrentUploads !== null
  }
  return [...options.protocols.has('tus') ? [describeTus(offered)] : [], ...options.protocols.has('ietf') ? [describeIetf(offered)] : []]
}

function write (document: OpenApiObject, path: string, operations: Record<string, Json | null>): void {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({ name, in: 'path', required: true, schema: { type: 'string' } }))
  document.components.schemas = { ...SCHEMAS, ...document.components.schemas }
  const item = document.paths[path] ??= {}
  for (const [method, operation] of Object.entries(operations)) {
    if (operation === null) continue
    Object.assign(item, { [method]: { ...operation, parameters: [...names, ...operation.parameters as Json[]] } })
  }
}

/** The path of a route as OpenAPI writes it, below the one of its servers. */
function toPath (url: string, { servers = [] }: OpenApiObject): string {
  const path = url
    .replace(/\*$/, '{id}')
    .replace(/:(\w+)(?:\([^/]*\))?\??/g, '{$1}')
    .replace(/(?<=.)\/$/, '')
  const base = servers.map(({ url }) => new URL(url.replace(/\{\w+\}/g, '0'), 'http://localhost').pathname.replace(/\/$/, '')).find(base => base !== '' && path.startsWith(`${base}/`))
  return base === undefined ? path : path.slice(base.length)
}
