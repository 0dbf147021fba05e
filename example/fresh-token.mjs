/**
 * Options of tus-js-client and of Uppy's Tus plugin: every request carries the current token, and one that is refused with 401 is sent again with a new token.
 *
 * `getToken` resolves to the current token, `refreshToken` replaces it.
 */
export function withFreshToken (getToken, refreshToken) {
  return {
    async onBeforeRequest (request) {
      request.setHeader('Authorization', `Bearer ${await getToken()}`)
    },

    async onAfterResponse (request, response) {
      if (response.getStatus() !== 401) return
      await refreshToken()
      // A thrown error is retried after the next of `retryDelays`. A 401 on HEAD that is not thrown counts as "no such upload":
      // the client would forget the URL, create another upload and begin again at byte 0.
      throw new Error('The token has expired')
    }
  }
}
