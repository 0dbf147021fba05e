/** Work that nobody has to wait for, such as the deletion of what no record names any more. */
export class Background {
  readonly #running = new Set<Promise<void>>()

  /** An error is nobody's: what is left behind is cleared away by `tidy`. */
  run (work: () => Promise<void>): void {
    const running: Promise<void> = work().catch(() => {}).finally(() => { this.#running.delete(running) })
    this.#running.add(running)
  }

  async drain (): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }
}
