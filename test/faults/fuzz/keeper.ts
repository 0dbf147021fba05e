import { Agent, request as send } from 'node:http'
import { getId } from './grammar.js'

/** A well-behaved client beside the fuzzer, on connections of its own: it owns what nobody may change, and cleans up. */
export class Keeper {
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 })

  constructor (port: number) {
    this.#port = port
  }

  async create (headers: Readonly<Record<string, string>>, body?: Buffer): Promise<string> {
    const { status, fields } = await this.ask('POST', '/files', { ...headers, ...body && { 'content-type': 'application/offset+octet-stream' } }, body)
    if (status !== 201) throw new Error(`A valid creation is answered by ${status}`)
    return getId({ head: `\r\nlocation: ${fields['location']}` })
  }

  /** In the words of the draft. */
  async createDraft (headers: Readonly<Record<string, string>>, body: Buffer): Promise<string> {
    const { status, fields } = await this.ask('POST', '/files', headers, body, {})
    if (status !== 201) throw new Error(`A valid creation is answered by ${status}`)
    return getId({ head: `\r\nlocation: ${fields['location']}` })
  }

  async remove (id: string): Promise<number> {
    const { status } = await this.ask('DELETE', `/files/${id}`)
    return status === 404 ? (await this.ask('DELETE', `/documents/~post/${id}`)).status : status
  }

  /** What HEAD tells about an upload, without the date. */
  async inspect (id: string): Promise<string> {
    const { status, fields: { date, connection, 'keep-alive': _, ...fields } } = await this.ask('HEAD', `/files/${id}`)
    return JSON.stringify([status, fields])
  }

  close (): void {
    this.#agent.destroy()
  }

  ask (method: string, path: string, headers: Readonly<Record<string, string>> = {}, body?: Buffer, version: Readonly<Record<string, string>> = TUS): Promise<{ status: number, fields: Readonly<Record<string, unknown>> }> {
    return new Promise((resolve, reject) => {
      const request = send({ port: this.#port, host: '127.0.0.1', method, path, agent: this.#agent, headers: { ...version, ...headers } })
      request.once('error', reject)
      request.once('response', response => {
        response.resume().once('error', reject).once('end', () => resolve({ status: response.statusCode!, fields: response.headers }))
      })
      request.end(body)
    })
  }
}

const TUS = { 'tus-resumable': '1.0.0' }
