import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { createFsStorage } from '../../adapters/fs/index.js'
import fastifyTus, { type TusOptions } from '../../lib/index.js'

/** A directory of its own for one test, removed afterwards. */
export async function makeDirectory (t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'fastify-tus-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** What a directory of uploads holds, without the folders by which processes exclude each other, and the index. */
export async function listNames (directory: string): Promise<string[]> {
  return (await readdir(directory)).filter(name => !['.locks', '.processes', '.index'].includes(name)).sort()
}

export interface TestApp {
  readonly app: FastifyInstance
  /** Where uploads are created: `http://127.0.0.1:PORT/files`. Empty where the app does not listen. */
  readonly url: string
  readonly port: number
  readonly directory: string
}

/** An application with the plugin on a filesystem storage, for `inject()`. */
export async function makeApp (t: Test, options: TusOptions = {}, server: FastifyServerOptions = {}): Promise<TestApp> {
  const directory = await makeDirectory(t)
  const app = Fastify(server)
  t.teardown(() => app.close())
  await app.register(fastifyTus, { storage: createFsStorage({ directory }), ...options })
  return { app, directory, url: '', port: 0 }
}

/** The same, listening on a free port of the loopback interface. */
export async function startApp (t: Test, options: TusOptions = {}, server: FastifyServerOptions = {}): Promise<TestApp> {
  const made = await makeApp(t, options, server)
  await made.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = made.app.server.address() as AddressInfo
  return { ...made, port, url: `http://127.0.0.1:${port}/files` }
}

/** An application with routes of its own beside the plugin, listening. */
export async function startRoutes (t: Test, prepare: (app: FastifyInstance) => unknown, options: TusOptions = {}, server: FastifyServerOptions = {}): Promise<{ app: FastifyInstance, port: number }> {
  const { app } = await makeApp(t, options, server)
  await prepare(app)
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, port: (app.server.address() as AddressInfo).port }
}
