import type { Socket } from 'node:net'

/** Short messages between two processes, one per line: a verb, the id of an upload, the name of a process. */
export class Lines {
  readonly #socket: Socket
  #rest = ''

  constructor (socket: Socket, onMessage: (verb: string, id: string, name: string) => void) {
    this.#socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (text: string): void => {
      const lines = (this.#rest + text).split('\n')
      this.#rest = lines.pop()!
      // No process of ours says so much.
      if (this.#rest.length > LONGEST) return this.close()
      for (const line of lines) {
        const [verb = '', id = '', name = ''] = line.split(' ')
        onMessage(verb, id, name)
      }
    })
    // What went wrong with a connection to another process is told by its end.
    socket.on('error', () => {})
    socket.unref()
  }

  /** A message to a process that has ended is lost; its end tells. */
  send (verb: string, id = '', name = ''): void {
    if (this.#socket.writable) this.#socket.write(`${verb} ${id} ${name}\n`)
  }

  onClose (listener: () => void): void {
    this.#socket.once('close', listener)
  }

  close (): void {
    this.#socket.destroy()
  }
}

/** A verb, an id and a name are far shorter, in bytes. */
const LONGEST = 1024
