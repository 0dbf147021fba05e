import t from 'tap'
import { testClient } from '../support/tus-client-matrix.js'
import { loadClient } from '../support/tus-client.js'

// The coming version of the stock client, which sends files as chunked bodies, through cuts and kills.

const library = await loadClient('tus-js-client-5')

t.test('tus-js-client 5', { skip: library === null && 'tus-js-client-5 is not installed' }, t => testClient(t, library!))
