export interface FakeS3 {
  readonly endpoint: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  stop (): Promise<void>
}

export function startFakeS3 (options?: { port?: number, flavour?: 'aws' | 'ceph', conditions?: 'heeded' | 'ignored' }): Promise<FakeS3>
