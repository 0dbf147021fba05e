export interface MemoryReport {
  /** After the warm-up, a tenth of the run, in bytes. */
  readonly begin: number
  readonly end: number
  readonly max: number
  /** Bytes for each 100 000 requests, by least squares, after the warm-up. */
  readonly slope: number
}

/** Samples of resident memory over the run. */
export class Memory {
  readonly #samples: Array<{ requests: number, bytes: number }> = []

  note (requests: number, bytes: number): void {
    this.#samples.push({ requests, bytes })
  }

  report (): MemoryReport {
    const warm = this.#samples.slice(Math.floor(this.#samples.length / 10))
    const share = Math.max(1, Math.floor(warm.length / 10))
    return {
      begin: median(warm.slice(0, share)),
      end: median(warm.slice(-share)),
      max: Math.max(...this.#samples.map(({ bytes }) => bytes)),
      slope: Math.round(getSlope(warm) * 100_000)
    }
  }
}

type Samples = ReadonlyArray<{ readonly requests: number, readonly bytes: number }>

function median (samples: Samples): number {
  return samples.map(({ bytes }) => bytes).sort((one, other) => one - other)[Math.floor(samples.length / 2)] ?? 0
}

function getSlope (samples: Samples): number {
  const mean = (get: (sample: Samples[number]) => number) => samples.reduce((sum, sample) => sum + get(sample), 0) / samples.length
  const x = mean(({ requests }) => requests)
  const y = mean(({ bytes }) => bytes)
  const spread = mean(({ requests }) => (requests - x) ** 2)
  return spread > 0 ? mean(({ requests, bytes }) => (requests - x) * (bytes - y)) / spread : 0
}
