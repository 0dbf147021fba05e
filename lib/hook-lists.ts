import type { FastifyInstance } from 'fastify'

/** A hook as Fastify has it in its lists, whichever it is. */
export type AnyHook = (...args: never[]) => unknown

/**
 * Puts a hook in front of all others of a scope, also those of the scopes around it and those that are added later.
 *
 * Fastify runs hooks in the order of their registration, from the outside in, and offers no other. But it keeps the hooks of each
 * scope in a list, under a symbol. If a version of it does not, the hook comes after those that exist.
 */
export function addFirstHook (instance: FastifyInstance, name: string, hook: AnyHook): void {
  const list = getList(instance, name)
  if (list === null) instance.addHook(name as 'onRequest', hook as () => void)
  else if (!list.includes(hook)) list.unshift(hook)
}

/** Replaces the hooks of a scope where they are in its list: those that exist, and each that is added later. */
export function replaceHooks (instance: FastifyInstance, name: string, replace: (hook: AnyHook) => AnyHook): void {
  const list = getList(instance, name)
  if (list === null) return
  const { push } = list
  list.push = (...hooks) => push.apply(list, hooks.map(replace))
  list.splice(0, list.length, ...list.map(replace))
}

/** The hooks of a scope, in the order in which they run. */
export function listHooks (instance: FastifyInstance, name: string): readonly AnyHook[] {
  return getList(instance, name) ?? []
}

function getList (instance: FastifyInstance, name: string): AnyHook[] | null {
  const symbol = Object.getOwnPropertySymbols(instance).find(({ description }) => description === 'fastify.hooks')
  const list = symbol && (instance as unknown as Record<symbol, Record<string, AnyHook[]> | undefined>)[symbol]?.[name]
  return Array.isArray(list) ? list : null
}
