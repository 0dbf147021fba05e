import type { ClientRequest, IncomingMessage } from 'node:http'
import type { HttpRequest, HttpResponse, HttpStack } from 'tus-js-client'

/**
 * Sends requests as tus-js-client does, but gives up one on whose connection nothing has moved for a while, or whose answer ends in the middle: tus-js-client would wait for ever.
 *
 * @param stallTimeout in ms; 0 is no limit
 */
export async function createHttpStack (stallTimeout: number): Promise<HttpStack> {
  const { DefaultHttpStack } = await import('tus-js-client')
  // Node looks at what the system took of the bytes as well: a slow connection is none that stands still.
  const stack = new DefaultHttpStack({ timeout: stallTimeout })
  return {
    getName: () => stack.getName(),
    createRequest (method, url) {
      const request = stack.createRequest(method, url)
      const send = request.send.bind(request)
      return Object.assign(request, { send: (body: unknown) => watch(request, send(body)) })
    }
  }
}

function watch (request: HttpRequest, answer: Promise<HttpResponse>): Promise<HttpResponse> {
  const sent: ClientRequest = request.getUnderlyingObject()
  let response: IncomingMessage | null = null
  return new Promise((resolve, reject) => {
    answer.then(resolve, reject)
    sent.once('response', received => { response = received })
    sent.once('timeout', () => sent.destroy(createError('Nothing has moved on the connection', 'ETIMEDOUT')))
    sent.once('close', () => {
      if (response?.complete !== true) reject(createError('The connection ended in the middle of an answer', 'ECONNRESET'))
    })
  })
}

function createError (message: string, code: string): Error {
  return Object.assign(new Error(message), { code })
}
