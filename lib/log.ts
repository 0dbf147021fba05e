/** The part of pino that is used here: Fastify's `request.log` and `app.log` fit. */
export interface Log {
  debug(facts: object, message: string): void
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
}
