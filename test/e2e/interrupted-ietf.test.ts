import t from 'tap'
import { testProtocol } from '../support/tus-client-matrix.js'
import { loadClient } from '../support/tus-client.js'

// The stock clients upload in the two drafts of the other protocol that they speak. FASTIFY_TUS_E2E_MIB=100 lets each bring 100 MiB.

for (const name of ['tus-js-client', 'tus-js-client-5']) {
  const library = await loadClient(name)
  const skip = library === null && `${name} is not installed`

  for (const protocol of ['ietf-draft-03', 'ietf-draft-05']) {
    t.test(`${name} in ${protocol}, cut and killed, to a directory`, { skip }, t => testProtocol(t, library!, protocol))
  }
}
