import { createTokenOptions } from './token-recipes.mjs'

const { TOKEN, TOKEN_URL, TOKEN_RECIPE } = process.env

/** What tus-js-client and Uppy are told of tokens, where `scripts/interop/tokens.mjs` runs them. */
export function getTokenOptions () {
  if (TOKEN === undefined) return {}
  return { chunkSize: 4 * 1024 * 1024, retryDelays: [0, 200, 1000], ...createTokenOptions(TOKEN_RECIPE, TOKEN, async () => (await fetch(TOKEN_URL)).text()) }
}
