import { readFileSync } from 'node:fs'
import { Converter, ReflectionKind } from 'typedoc'

/** A plugin of TypeDoc: modules have the names by which users import them. */
export function load (app) {
  const { name, exports } = JSON.parse(readFileSync('package.json', 'utf8'))
  const names = new Map(Object.entries(exports).flatMap(([path, { types }]) => {
    return types === undefined ? [] : [[types.replace('./dist/', '').replace(/(?:\/index)?\.d\.ts$/, ''), path.replace('.', name)]]
  }))
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.getReflectionsByKind(ReflectionKind.Module)) module.name = names.get(module.name) ?? module.name
  })
}
