import { constants } from 'node:http2'

/**
 * Ends a request whose token expires while its body arrives. What arrived is kept, and the client resumes with another token.
 *
 * @param getExpiry (request) => when its token expires, in ms since 1970
 */
export function endWithToken (app, getExpiry) {
  app.tus.addHook('postReceive', (request, upload) => {
    if (upload.offset === upload.length || getExpiry(request) > Date.now()) return
    const { raw } = request
    if (raw.stream) raw.stream.close(constants.NGHTTP2_CANCEL)
    else raw.destroy()
  })
}
