import t from 'tap'
import { testClient } from '../support/tus-client-matrix.js'
import { loadClient } from '../support/tus-client.js'

// The stock client uploads through cuts and kills, once 300 MiB in one request.

const library = await loadClient('tus-js-client')

t.test('tus-js-client 4', { skip: library === null && 'tus-js-client is not installed' }, t => testClient(t, library!, 300 * 1024 * 1024))
