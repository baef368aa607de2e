/** Several services with one Redis, started, asked and ended by a test. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { ProcessSettings, ProcessState } from './guard-process.ts'

const script = fileURLToPath(new URL('./guard-process.ts', import.meta.url))

export class GuardProcess {
  readonly #child: ChildProcess
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 })

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.#port = port
  }

  static async start(settings: ProcessSettings): Promise<GuardProcess> {
    const child = fork(script, [JSON.stringify(settings)], {
      execArgv: ['--conditions=@holdfast/source'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const port = await new Promise<number>((resolve, reject) => {
      child.once('message', (message: { port: number }) => resolve(message.port))
      child.once('exit', (code) => reject(new Error(`the process ended with ${code}`)))
    })
    return new GuardProcess(child, port)
  }

  /** Asks as if through a trusted proxy, from this address. */
  ask(address: string, path = '/', method = 'GET', body?: object): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const payload = body === undefined ? undefined : JSON.stringify(body)
      const asked = request(
        {
          host: '127.0.0.1',
          port: this.#port,
          path,
          method,
          agent: this.#agent,
          headers: {
            'x-forwarded-for': address,
            ...(payload !== undefined && { 'content-type': 'application/json' }),
          },
        },
        (response) => {
          let text = ''
          response.on('data', (chunk) => {
            text += chunk
          })
          response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
        },
      )
      asked.on('error', reject)
      asked.end(payload)
    })
  }

  /** The statuses of so many requests, sixteen at a time. */
  async flood(addresses: readonly string[]): Promise<number[]> {
    const statuses: number[] = []
    for (let from = 0; from < addresses.length; from += 16) {
      const answers = await Promise.all(addresses.slice(from, from + 16).map((address) => this.ask(address)))
      statuses.push(...answers.map(({ status }) => status))
    }
    return statuses
  }

  /** The statuses of so many requests on one connection, some hundred at a time. */
  async stream(addresses: readonly string[]): Promise<number[]> {
    const socket = connect(this.#port, '127.0.0.1')
    const statuses: number[] = []
    let text = ''
    try {
      for (let from = 0; from < addresses.length; from += 250) {
        const some = addresses.slice(from, from + 250)
        socket.write(
          some.map((address) => `GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: ${address}\r\n\r\n`).join(''),
        )
        while (statuses.length < from + some.length) {
          const [chunk] = (await once(socket, 'data')) as [Buffer]
          text += chunk
          for (const [, status] of text.matchAll(/HTTP\/1\.1 (\d{3}) .*\r\n/g)) statuses.push(Number(status))
          // A line that is not complete yet.
          text = text.slice(text.lastIndexOf('\n') + 1)
        }
      }
    } finally {
      socket.destroy()
    }
    return statuses
  }

  async state(): Promise<ProcessState> {
    return JSON.parse((await this.ask('192.0.2.254', '/state')).text)
  }

  /** Ends in order; answers the exit code. */
  async close(): Promise<number | null> {
    this.#agent.destroy()
    const ended = once(this.#child, 'exit') as Promise<[number | null]>
    this.#child.send('close')
    return (await ended)[0]
  }

  /** Ends it in any case. */
  async end(): Promise<void> {
    this.#agent.destroy()
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}

/** So many services. */
export async function startGuards(count: number, settings: ProcessSettings) {
  const processes = await Promise.all(Array.from({ length: count }, () => GuardProcess.start(settings)))
  return {
    processes,
    async end() {
      await Promise.all(processes.map((process) => process.end()))
    },
  }
}
