import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Upload } from './upload.js'

/**
 * Gives the requests of a scope `request.upload`, unless the application has a decorator of that name: it keeps its own, and only requests that
 * reach a handler of this plugin carry ours instead.
 *
 * A getter, because a scope inside of this one may have its own decorator then, of any kind.
 */
export function decorateRequests (app: FastifyInstance): void {
  if (app.hasRequestDecorator('upload')) return
  app.decorateRequest('upload', {
    getter: () => null,
    setter (this: FastifyRequest, upload: Upload | null) { setUpload(this, upload) }
  })
}

/** An assignment would call a setter of the application, or fail where it has a getter alone. */
export function setUpload (request: FastifyRequest, upload: Upload | null): void {
  if (Object.hasOwn(request, 'upload')) request.upload = upload
  else Object.defineProperty(request, 'upload', { value: upload, writable: true, enumerable: true, configurable: true })
}
