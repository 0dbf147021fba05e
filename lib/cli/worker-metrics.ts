import cluster, { type Worker } from 'node:cluster'
import type { MetricObjectWithValues, MetricValue, Registry } from 'prom-client'
import { loadClient } from './prometheus.js'

type Metrics = Array<MetricObjectWithValues<MetricValue<string>>>

/** What the primary and its workers say to each other about metrics. */
type Note =
  | { readonly metrics: 'ask' | 'ask-all', readonly to: number }
  | { readonly metrics: 'tell', readonly to: number, readonly values: Metrics }
  | { readonly metrics: 'tell-all', readonly to: number, readonly text: string }

/** In the primary: answers a worker that asks for the metrics of all. */
export function answerWorkers (): void {
  cluster.on('message', (worker, note: Note) => {
    if (note.metrics === 'ask-all') readAll().then(text => send(worker, { metrics: 'tell-all', to: note.to, text }), () => {})
  })
}

/** In the primary: the metrics of all workers as text. One that does not answer in time is left out. */
export async function readAll (): Promise<string> {
  const { AggregatorRegistry } = await loadClient()
  const workers = Object.values(cluster.workers ?? {}).filter(worker => worker?.isConnected())
  const answers = await Promise.all(workers.map(worker => readOne(worker!)))
  return await AggregatorRegistry.aggregate(answers.filter(values => values !== null)).metrics()
}

function readOne (worker: Worker): Promise<Metrics | null> {
  const to = ++last
  return new Promise(resolve => {
    const settle = (values: Metrics | null) => {
      clearTimeout(timer)
      worker.off('message', onMessage)
      resolve(values)
    }
    const onMessage = (note: Note) => { if (note.metrics === 'tell' && note.to === to) settle(note.values) }
    const timer = setTimeout(settle, PATIENCE, null)
    worker.on('message', onMessage)
    send(worker, { metrics: 'ask', to })
  })
}

/** One that has just died is left out. */
function send (worker: Worker, note: Note): void {
  worker.send(note, () => {})
}

/** In a worker: answers when the primary asks. */
export function answerPrimary (register: Registry): void {
  process.on('message', async (note: Note) => {
    if (note.metrics === 'ask') process.send!({ metrics: 'tell', to: note.to, values: await register.getMetricsAsJSON() as Metrics } satisfies Note)
  })
}

/** In a worker: the metrics of all, from the primary. */
export function askPrimary (): Promise<string> {
  const to = ++last
  return new Promise(resolve => {
    const onMessage = (note: Note) => {
      if (note.metrics !== 'tell-all' || note.to !== to) return
      process.off('message', onMessage)
      resolve(note.text)
    }
    process.on('message', onMessage)
    process.send!({ metrics: 'ask-all', to } satisfies Note)
  })
}

let last = 0
/** How long a worker may take to answer, in ms. */
const PATIENCE = 2_000
