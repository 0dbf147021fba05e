import { withFreshToken } from '../../../example/fresh-token.mjs'

/**
 * What tus-js-client and Uppy can be told of tokens.
 *
 * - `fixed`: a header that stays as it is
 * - `retry`: a new token after a 401, and `onShouldRetry` that has every 401 tried again
 * - `throw`: what the documentation recommends
 */
export function createTokenOptions (recipe, token, fetchToken) {
  const getToken = () => token
  const refreshToken = async () => { token = await fetchToken() }
  switch (recipe) {
    case 'fixed': return { headers: { Authorization: `Bearer ${token}` } }
    case 'retry': return {
      onBeforeRequest: request => request.setHeader('Authorization', `Bearer ${getToken()}`),
      onAfterResponse: (request, response) => response.getStatus() === 401 ? refreshToken() : undefined,
      onShouldRetry: (error, attempt, options, next) => error.originalResponse?.getStatus() === 401 || (next?.(error) ?? isTemporary(error))
    }
    case 'throw': return withFreshToken(getToken, refreshToken)
  }
  throw new Error(`There is no recipe ${recipe}`)
}

/** What tus-js-client takes for worth another try. */
function isTemporary (error) {
  const status = error.originalResponse?.getStatus() ?? 0
  return status < 400 || status >= 500 || status === 409 || status === 423
}
