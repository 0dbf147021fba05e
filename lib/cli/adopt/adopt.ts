import { createClient } from '../storage.js'
import { adoptDirectory } from './directory.js'
import type { AdoptFlags } from './flags.js'
import { Report, type Outcome } from './report.js'

/** Adopts the uploads of another server, and says what became of each. */
export async function adopt (flags: AdoptFlags, print: (line: string) => void): Promise<void> {
  const report = new Report(print)
  for await (const outcome of adoptAll(flags)) report.add(outcome)
  report.end(!flags.write)
}

async function * adoptAll ({ place, ...flags }: AdoptFlags): AsyncGenerator<Outcome> {
  if ('directory' in place) return yield * adoptDirectory({ ...flags, ...place })
  const client = await createClient(place)
  try {
    const { adoptBucket } = await import('./bucket.js')
    yield * adoptBucket({ ...flags, client, bucket: place.bucket, prefix: place.prefix })
  } finally {
    client.destroy()
  }
}
