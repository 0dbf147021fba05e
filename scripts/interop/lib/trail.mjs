/** The requests that pass a proxy, in their order, each with the status that its client got, or `cut`. */
export class Trail {
  /** `{ method, offset, status }` */
  requests = []

  /** Notes what passes on one connection. */
  open () {
    let current = null
    return {
      request: chunk => {
        const head = REQUEST.exec(chunk.toString('latin1', 0, 4096))
        if (head === null) return
        const method = /^x-http-method-override: (\w+)/im.exec(head[0])?.[1] ?? head[1]
        current = { method, offset: Number(/^upload-offset: (\d+)/im.exec(head[0])?.[1] ?? 0), status: 'cut' }
        this.requests.push(current)
      },
      respond: chunk => {
        const status = /HTTP\/1\.1 ([2-5]\d\d)/.exec(chunk.toString('latin1'))?.[1]
        if (status !== undefined && current !== null) current.status = status
      }
    }
  }

  /** Such as `POST 201, PATCH cut, HEAD 423 ×3, PATCH@5242880 204`. */
  toString () {
    const steps = this.requests.map(({ method, offset, status }) => `${method}${offset > 0 ? `@${offset}` : ''} ${status}`)
    return shorten(steps).join(', ')
  }
}

/** `HEAD 401, HEAD 401` → `HEAD 401 ×2`. */
export function shorten (steps) {
  const counted = []
  for (const step of steps) {
    if (counted.at(-1)?.step === step) counted.at(-1).count++
    else counted.push({ step, count: 1 })
  }
  return counted.map(({ step, count }) => count === 1 ? step : `${step} ×${count}`)
}

const REQUEST = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) \S+ HTTP\/1\.1\r\n[^]*?\r\n\r\n/
