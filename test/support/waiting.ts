/**
 * Waits until `holds` does.
 *
 * @param deadline after how many ms it gives up: long, as a machine may be busy, and nobody waits for it where all is well
 * @throws what it has waited for in vain
 */
export async function until (what: string, holds: () => boolean | Promise<boolean>, deadline = DEADLINE): Promise<void> {
  const end = performance.now() + deadline
  while (!await holds()) {
    if (performance.now() > end) throw new Error(`Waited ${deadline} ms in vain: ${what}`)
    await sleep(10)
  }
}

/** For a client that is slow, or an event that nobody can see. What can be seen is waited for by {@link until}. */
export function sleep (milliseconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, milliseconds))
}

/** A promise that a test settles. */
export function createGate (): { readonly passed: Promise<void>, open(): void } {
  let open = () => {}
  const passed = new Promise<void>(resolve => { open = resolve })
  return { passed, open: () => open() }
}

/** In ms. */
export const DEADLINE = 60_000
