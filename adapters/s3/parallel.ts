/** Does the work for every item, so many at a time, and resolves to the results in the order of the items. The first error ends it. */
export async function mapParallel<Item, Result> (items: readonly Item[], concurrency: number, work: (item: Item, index: number) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = new Array(items.length)
  let at = 0
  let failed = false
  const run = async () => {
    while (at < items.length && !failed) {
      const index = at++
      try {
        results[index] = await work(items[index]!, index)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  // All of them end before anybody hears of an error: nothing goes on behind the back of who clears up.
  const ends = await Promise.allSettled(Array.from({ length: Math.min(concurrency, items.length) }, run))
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  return results
}
