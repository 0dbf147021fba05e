import { mkdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/**
 * A port for a server of this test alone, also while that is down or about to start: other tests leave it.
 *
 * It is below those that the system gives to outgoing connections: a client that retries must not be given the port of its server as its own.
 */
export async function findPort (t: Test): Promise<number> {
  // Drawn, as each run and each file begins elsewhere: two that count from the same port would meet at every step.
  for (let attempt = 0; attempt < 1000; attempt++) {
    const port = 10_000 + Math.floor(Math.random() * 20_000)
    if (reserve(t, port) && await isFree(port)) return port
  }
  throw new Error('No free port was found')
}

/** Whether nobody else had it. */
function reserve (t: Test, port: number): boolean {
  const place = join(tmpdir(), `fastify-tus-port-${port}`)
  try {
    mkdirSync(place)
  } catch {
    return false
  }
  t.teardown(() => rmSync(place, { recursive: true, force: true }))
  return true
}

function isFree (port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
