/** Of `prom-client`; described by its shape, so that whoever does without needs none of its types. */
export interface MetricsRegister {
  registerMetric (metric: never): void
  getSingleMetric (name: string): unknown
  removeSingleMetric (name: string): void
  metrics (): Promise<string>
}

export interface MetricsOptions {
  /** Where the metrics are registered: a `Registry` of `prom-client`. */
  readonly register: MetricsRegister
  /** Whether to have the metrics of tusd as well, by their names, as far as they mean the same. Default `false`. */
  readonly tusd?: boolean
}
