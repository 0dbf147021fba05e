import { tmpdir } from 'node:os'
import t from 'tap'
import { fuzz } from './fuzz/fuzz.js'

/** Of the many: `npm run fuzz` sends a million, of another seed each time. */
const REQUESTS = 7_000
const SEEDS = [20_260_101, 7]

for (const seed of SEEDS) {
  for (const tusOnly of [true, false]) {
    const name = `seed ${seed}, ${tusOnly ? 'tus alone' : 'both protocols'}: no crash, no 5xx, no hang, and nothing changes by what is refused`
    t.test(name, async t => {
      const { violations, requests, statuses, descriptors, memory, requestsPerSecond } = await fuzz({ requests: REQUESTS, seed, tusOnly, connections: 16, parent: tmpdir(), durability: 'none' })
      t.same(violations.map(({ bytes, ...rest }) => ({ ...rest, bytes: bytes.toString('latin1') })), [])
      t.ok(requests >= REQUESTS, `${requests} requests, ${requestsPerSecond} per second`)
      for (const status of ['200', '201', '204', '206', '400', '404', '405', '409', '412', '413', '415', '460']) t.ok(statuses[status]! > 0, `some are answered by ${status}`)
      t.equal((statuses['104'] ?? 0) > 0, !tusOnly, 'interim responses are of the draft alone')
      t.ok(descriptors.end <= descriptors.begin)
      t.comment(JSON.stringify({ memory, statuses }))
    })
  }
}
