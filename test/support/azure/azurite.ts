import { BlobServiceClient, type ContainerClient, type StoragePipelineOptions } from '@azure/storage-blob'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { findPort } from '../ports.js'
import { until } from '../waiting.js'

const AZURITE = fileURLToPath(new URL('../../../node_modules/.azurite/node_modules/azurite/dist/src/blob/main.js', import.meta.url))

/** An account of Azure Storage. */
export interface Account {
  /** Of its blobs. */
  readonly endpoint: string
  readonly name: string
  readonly key: string
}

/** Why the tests of this storage can't run here; `false` if they can. */
export const skip = process.env.AZURE_ENDPOINT || existsSync(AZURITE) ? false : 'Azurite is not there: node scripts/azurite/install.mjs'

/** The account that `AZURE_ENDPOINT`, `AZURE_ACCOUNT` and `AZURE_KEY` name; that of an Azurite of its own otherwise, which keeps all in memory. */
export async function getAccount (t: Test): Promise<Account> {
  const { AZURE_ENDPOINT, AZURE_ACCOUNT, AZURE_KEY } = process.env
  if (AZURE_ENDPOINT) return { endpoint: AZURE_ENDPOINT, name: AZURE_ACCOUNT!, key: AZURE_KEY! }
  const port = await findPort(t)
  const { NODE_OPTIONS, ...env } = process.env
  const args = ['--blobPort', String(port), '--inMemoryPersistence', '--silent', '--disableTelemetry']
  const child = spawn(process.execPath, [AZURITE, ...args], { env, cwd: tmpdir(), stdio: 'ignore' })
  const exited = once(child, 'exit')
  process.once('exit', () => child.kill('SIGKILL'))
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  await waitForPort(port, () => child.exitCode !== null)
  return { ...DEVELOPMENT, endpoint: `http://127.0.0.1:${port}/${DEVELOPMENT.name}` }
}

/** A container of a name that nobody has. Requests that fail are tried again, as the SDK does by default, with shorter pauses. */
export async function createContainer (account: Account): Promise<ContainerClient> {
  const name = `fastify-tus-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`
  const container = openContainer(account, name, { retryOptions: { maxTries: 4, retryDelayInMs: 50 } })
  await container.create()
  return container
}

/** @param options of the requests: one try each, if they say nothing else */
export function openContainer (account: Account, name: string, options: StoragePipelineOptions = { retryOptions: { maxTries: 1 } }): ContainerClient {
  return BlobServiceClient.fromConnectionString(describeAccount(account), options).getContainerClient(name)
}

/** As a connection string. */
export function describeAccount ({ endpoint, name, key }: Account): string {
  return `DefaultEndpointsProtocol=${new URL(endpoint).protocol.slice(0, -1)};AccountName=${name};AccountKey=${key};BlobEndpoint=${endpoint};`
}

async function waitForPort (port: number, hasEnded: () => boolean): Promise<void> {
  await until('Azurite listens', async () => {
    if (hasEnded()) throw new Error('Azurite has ended')
    return canConnect(port)
  })
}

async function canConnect (port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const connected = await once(socket, 'connect').then(() => true, () => false)
  socket.destroy()
  return connected
}

/** The account that every Azurite has, with a key that is public. */
const DEVELOPMENT = {
  name: 'devstoreaccount1',
  key: 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='
}
