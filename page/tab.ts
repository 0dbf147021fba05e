/** Who works on the files that this browser remembers: this tab, another one, or nobody can tell. */
export type Tab = 'this' | 'another' | 'unknown'

/**
 * Two tabs that go on with the same upload would take it from each other again and again: the first one is given it, for as long as it is open.
 * Browsers have locks on HTTPS and on localhost alone.
 */
export async function claimTab (): Promise<Tab> {
  if (!navigator.locks) return 'unknown'
  return new Promise(resolve => {
    // A page that is loaded again may have to wait for its predecessor to go.
    navigator.locks.request('fastify-tus', { signal: AbortSignal.timeout(PATIENCE) }, () => {
      resolve('this')
      return new Promise(() => {})
    }).catch(() => resolve('another'))
  })
}

/** In ms. */
const PATIENCE = 700
