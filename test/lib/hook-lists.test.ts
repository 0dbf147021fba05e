import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { addFirstHook, listHooks, replaceHooks } from '../../lib/hook-lists.js'

interface Made {
  readonly app: FastifyInstance
  readonly order: string[]
  readonly note: (name: string) => () => Promise<void>
}

function makeApp (t: Test): Made {
  const app = Fastify()
  t.teardown(() => app.close())
  const order: string[] = []
  return { app, order, note: name => async () => { order.push(name) } }
}

t.test('the first hook runs before those of all scopes around, of before and after, and nowhere else', async t => {
  const { app, order, note } = makeApp(t)
  app.addHook('onRequest', note('root, before'))
  await app.register(async outer => {
    outer.addHook('onRequest', note('outer, before'))
    await outer.register(async scope => {
      const first = (_request: unknown, _reply: unknown, done: () => void) => {
        order.push('first')
        done()
      }
      addFirstHook(scope, 'onRequest', first)
      addFirstHook(scope, 'onRequest', first)
      scope.get('/inner', async () => 'x')
    })
    outer.get('/outer', async () => 'x')
    outer.addHook('onRequest', note('outer, after'))
  })
  app.addHook('onRequest', note('root, after'))
  await app.inject('/inner')
  t.same(order.splice(0), ['first', 'root, before', 'outer, before', 'outer, after', 'root, after'])
  await app.inject('/outer')
  t.same(order, ['root, before', 'outer, before', 'outer, after', 'root, after'])
})

t.test('a hook is replaced where it is, also one that is added later', async t => {
  const { app, order, note } = makeApp(t)
  app.addHook('onRequest', note('a'))
  await app.register(async scope => {
    replaceHooks(scope, 'onRequest', hook => Object.assign(note('replaced'), { hook }))
    scope.get('/inner', async () => 'x')
  })
  app.addHook('onRequest', note('b'))
  app.get('/outer', async () => 'x')
  await app.inject('/inner')
  t.same(order.splice(0), ['replaced', 'replaced'])
  await app.inject('/outer')
  t.same(order, ['a', 'b'])
})

t.test('where a version of Fastify shows no list, the hook comes after those that exist, and nothing is replaced', async t => {
  const { app, order, note } = makeApp(t)
  app.addHook('onRequest', note('before'))
  // It has what the instance has, but no list of its own.
  const closed: FastifyInstance = Object.create(app)
  addFirstHook(closed, 'onRequest', (_request: unknown, _reply: unknown, done: () => void) => {
    order.push('first')
    done()
  })
  replaceHooks(closed, 'onRequest', () => t.fail('there is nothing to replace') as never)
  t.same(listHooks(closed, 'onRequest'), [])
  app.addHook('onRequest', note('after'))
  app.get('/', async () => 'x')
  await app.inject('/')
  t.same(order, ['before', 'first', 'after'])
})
