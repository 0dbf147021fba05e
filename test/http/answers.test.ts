import type { onRequestHookHandler } from 'fastify'
import t from 'tap'
import { SETTINGS, STAGES, WAYS, addOnSend, createHook } from '../support/answers.js'
import { refuseAll, refuseAllOverHttp2, startSubject } from '../support/refusals.js'

for (const { place, onSend } of SETTINGS) {
  for (const stage of STAGES) {
    t.test(`an answer in ${stage} of the ${place} is an answer, with onSend hook: ${onSend}`, async t => {
      for (const [name, way] of Object.entries(WAYS)) {
        await t.test(name, async t => {
          const hook = createHook(stage, way) as onRequestHookHandler
          const subject = await startSubject(t, app => {
            addOnSend(app, onSend)
            if (place === 'scope') app.addHook(stage as 'onRequest', hook)
            return place === 'route' ? { routeOptions: { [stage]: hook } } : {}
          })
          await refuseAll(t, subject, way)
        })
      }
    })
  }
}

for (const stage of STAGES) {
  t.test(`an answer in ${stage} is an answer over HTTP/2`, async t => {
    for (const [name, way] of Object.entries(WAYS)) {
      await t.test(name, async t => {
        const hook = createHook(stage, way) as onRequestHookHandler
        const subject = await startSubject(t, app => {
          addOnSend(app, 'asynchronous')
          app.addHook(stage as 'onRequest', hook)
          return {}
        }, { http2: true })
        await refuseAllOverHttp2(t, subject, way)
      })
    }
  })
}
