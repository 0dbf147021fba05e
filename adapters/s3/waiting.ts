import type { Store } from './store.js'

/** An empty object per pair: made without touching either upload, so no lock is needed. */
export async function addWaiting ({ bucket, keys }: Store, partial: string, final: string): Promise<void> {
  await bucket.put(keys.waiting(partial, final), '')
}

export async function findWaiting (store: Store, partial: string): Promise<readonly string[]> {
  const finals: string[] = []
  const start = store.keys.waiting(partial, '')
  for await (const { key } of store.bucket.list(start)) finals.push(key.slice(start.length))
  return finals
}

export async function removeWaiting (store: Store, partial: string): Promise<void> {
  const finals = await findWaiting(store, partial)
  if (finals.length > 0) await store.bucket.delete(finals.map(final => store.keys.waiting(partial, final)))
}
