import type { Protocol } from './protocol.js'
import { tus } from './tus.js'

/** Which protocol a request speaks: the only place that asks. */
export function selectProtocol (): Protocol {
  return tus
}
