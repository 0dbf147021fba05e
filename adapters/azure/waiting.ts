import type { Store } from './store.js'

/** An empty blob per pair: made without touching either upload, so no lock is needed. */
export async function addWaiting ({ blobs, names }: Store, partial: string, final: string): Promise<void> {
  await blobs.putText(names.waiting(partial, final), '')
}

export async function findWaiting (store: Store, partial: string): Promise<readonly string[]> {
  const start = store.names.waiting(partial, '')
  const finals: string[] = []
  for await (const items of store.blobs.list(start)) finals.push(...items.map(({ name }) => name.slice(start.length)))
  return finals
}

export async function removeWaiting (store: Store, partial: string): Promise<void> {
  for (const final of await findWaiting(store, partial)) await store.blobs.delete(store.names.waiting(partial, final))
}
