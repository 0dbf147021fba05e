/** Does the same for each item, several at a time, and begins no other after an error. Settles when all that began is over. */
export async function doForEach<Item> (items: Iterable<Item>, work: (item: Item) => Promise<void>): Promise<void> {
  const errors: unknown[] = []
  const left = [...items].values()
  const run = async () => {
    for (const item of left) {
      if (errors.length > 0) return
      await work(item).catch(error => { errors.push(error) })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, run))
  if (errors.length > 0) throw errors[0]
}

/** Few: clients decide how many items there are. */
const AT_ONCE = 8
