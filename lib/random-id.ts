import { randomBytes } from 'node:crypto'

/** 128 random bits in hexadecimal. They are drawn for many ids at once: a call for a few costs as much. */
export function createRandomId (): string {
  if (drawn === pool.length) {
    pool = randomBytes(16 * 128)
    drawn = 0
  }
  drawn += 16
  return pool.toString('hex', drawn - 16, drawn)
}

/** Whether an id may be one of these. */
export function isRandomId (id: string): boolean {
  return RANDOM.test(id)
}

const RANDOM = /^[0-9a-f]{32}$/
let pool = Buffer.alloc(0)
let drawn = 0
