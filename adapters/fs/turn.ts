/**
 * Tells one turn of the event loop from the next. What was looked at in this turn is not looked at again: all requests that arrived
 * together share a look.
 */
export class Turn {
  #count = 0
  #ending = false

  get current (): number {
    if (!this.#ending) {
      this.#ending = true
      setImmediate(this.#end)
    }
    return this.#count
  }

  readonly #end = (): void => {
    this.#ending = false
    this.#count++
  }
}
