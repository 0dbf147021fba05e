import type { Context } from '../context.js'

/** Resolves to what `work` does, or to `null` if that takes longer than `patience`, in ms, or than a server that stops can wait. The work continues. */
export async function within<Result> ({ compositions }: Context, work: Promise<Result>, patience: number): Promise<Result | null> {
  let timer: NodeJS.Timeout | undefined
  let forget = () => {}
  const bound = new Promise<null>(resolve => {
    if (patience !== Infinity) timer = setTimeout(resolve, patience, null)
    forget = compositions.onStop(() => resolve(null))
  })
  try {
    return await Promise.race([work, bound])
  } finally {
    clearTimeout(timer)
    forget()
  }
}
