import { withPatience } from '../../../example/patience.mjs'

/** What tus-js-client and Uppy are told of outages, where `scripts/interop/outages.mjs` runs them: with `PATIENT`, what the documentation recommends. */
export function getPatience () {
  return process.env.PATIENT === undefined ? {} : withPatience()
}
