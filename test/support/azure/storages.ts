import type { ContainerClient, StoragePipelineOptions } from '@azure/storage-blob'
import type { Test } from 'tap'
import { createAzureStorage, type AzureStorageOptions } from '../../../adapters/azure/index.js'
import type { Storage } from '../../../lib/storage.js'
import { S3Proxy } from '../s3/proxy.js'
import { createContainer, getAccount, openContainer } from './azurite.js'

export const PREFIX = 'uploads/'

/** A storage as one process has it, and what stands between it and the server. */
export interface Process {
  readonly storage: Storage
  readonly proxy: S3Proxy
}

export interface Machines {
  /** Sees what is in the container, past any proxy. */
  readonly container: ContainerClient
  /** @param owner the test with which it ends; default: that of the container */
  open (options?: Partial<AzureStorageOptions>, clientOptions?: StoragePipelineOptions, owner?: Test): Promise<Process>
  /** The names in the container, without the prefix. */
  listNames (): Promise<string[]>
}

/** A container that several processes share. Nothing that fails is tried again by the SDK, unless the client's options say so. */
export async function setUp (t: Test): Promise<Machines> {
  const account = await getAccount(t)
  const container = await createContainer(account)
  return {
    container,
    async open (options = {}, clientOptions, owner = t) {
      // Azurite 3.37 closes what rests for 5 s, whatever `--blobKeepAliveTimeout` says.
      const proxy = await S3Proxy.start(owner, new URL(account.endpoint).origin, 'single')
      const endpoint = proxy.endpoint + new URL(account.endpoint).pathname
      const own = openContainer({ ...account, endpoint }, container.containerName, clientOptions)
      const storage = createAzureStorage({ container: own, prefix: PREFIX, ...options })
      owner.teardown(() => storage.close?.())
      return { storage, proxy }
    },
    async listNames () {
      const names: string[] = []
      for await (const { name } of container.listBlobsFlat({ prefix: PREFIX })) names.push(name.slice(PREFIX.length))
      return names
    }
  }
}
