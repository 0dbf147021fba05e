/**
 * Options of tus-js-client and of Uppy's Tus plugin: an outage of up to half a minute, also of a proxy, loses no upload.
 *
 * `retryDelays` are in ms. They start over with every byte that the server has stored.
 */
export function withPatience (retryDelays = [0, 1000, 2000, 3000, 5000, 5000, 5000, 10_000]) {
  return {
    retryDelays,

    onAfterResponse (request, response) {
      const status = response.getStatus()
      if (request.getMethod() !== 'HEAD' || (status < 500 && status !== 429)) return
      // A thrown error is retried after the next of `retryDelays`. A 5xx on HEAD that is not thrown counts as "no such upload":
      // the client would create another upload and start over at byte 0.
      throw new Error(`The server cannot be reached: ${status}`)
    }
  }
}
