import { findSimilar } from './similar-name.js'

/** An option that is unknown, or can't have the value that it was given. */
export class FactoryOptionError extends TypeError {
  readonly code: 'TUS_ERR_OPTION_UNKNOWN' | 'TUS_ERR_OPTION_INVALID'
  /** As in `journal.size`, if it is inside of another. */
  readonly option: string

  constructor (code: FactoryOptionError['code'], option: string, message: string) {
    super(message)
    this.code = code
    this.option = option
  }
}

/** Checks the options of a factory, such as `createFsStorage`. */
export class FactoryOptions {
  readonly #factory: string

  constructor (factory: string) {
    this.#factory = factory
  }

  /**
   * @param names what `options` may have; an option of any other name is an error, also one that is `undefined`
   * @param parent the option that `options` are the value of, if they are one
   * @throws FactoryOptionError
   */
  checkNames (options: unknown, names: Readonly<Record<string, unknown>>, parent?: string): void {
    this.check(parent ?? 'options', 'an object', isObject(options))
    for (const name of Object.keys(options as object)) {
      if (Object.hasOwn(names, name)) continue
      const option = parent === undefined ? name : `${parent}.${name}`
      const similar = findSimilar(name, Object.keys(names))
      throw new FactoryOptionError('TUS_ERR_OPTION_UNKNOWN', option, `${this.#factory}: there is no option '${option}'${similar === null ? '' : `: did you mean '${similar}'?`}`)
    }
  }

  /** @throws FactoryOptionError unless it `holds` that the option is what is expected */
  check (option: string, expected: string, holds: boolean): void {
    if (!holds) throw new FactoryOptionError('TUS_ERR_OPTION_INVALID', option, `${this.#factory}: '${option}' must be ${expected}`)
  }
}

/** Whether it is an object that has options, and no list. */
export function isObject (value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether it can begin the names of all objects of a storage, and of no other storage: `a` would also begin those of `ab`. */
export function isPrefix (value: unknown): boolean {
  return typeof value === 'string' && (value === '' || (value.endsWith('/') && !value.startsWith('/')))
}

/** Whether it is a whole number within bounds, both included. */
export function isWithin (value: unknown, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
}
