/** Several processes of one service, started, asked and ended by a test. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { fileURLToPath } from 'node:url'
import type { InjectOptions } from 'fastify'
import type { RedisSessionSnapshot } from '../src/index.ts'
import type { Answer, Target } from './session-app.ts'
import type { ProcessSettings } from './session-process.ts'

const script = fileURLToPath(new URL('./session-process.ts', import.meta.url))

export class SessionProcess implements Target {
  readonly #child: ChildProcess
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true })

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.#port = port
  }

  static async start(settings: ProcessSettings): Promise<SessionProcess> {
    const child = fork(script, [JSON.stringify(settings)], {
      execArgv: ['--conditions=@holdfast/source'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    child.once('message', (port: number) => resolve(port))
    child.once('exit', (code) => reject(new Error(`the process ended with ${code}`)))
    return new SessionProcess(child, await promise)
  }

  /** Over HTTP; rejects when the process ends before it has answered. */
  async inject({ method = 'GET', url = '/', headers = {}, payload }: InjectOptions): Promise<Answer> {
    const body = payload === undefined ? undefined : JSON.stringify(payload)
    const client = request({
      host: '127.0.0.1',
      port: this.#port,
      agent: this.#agent,
      method,
      path: String(url),
      headers: {
        ...(headers as Readonly<Record<string, string>>),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
    })
    client.end(body)
    const [response] = await once(client, 'response')
    const parts: Buffer[] = []
    for await (const part of response) parts.push(part)
    const text = Buffer.concat(parts).toString()
    return {
      statusCode: response.statusCode,
      headers: response.headers,
      body: text,
      json: () => JSON.parse(text),
    }
  }

  async snapshot(): Promise<RedisSessionSnapshot> {
    return (await this.inject({ url: '/snapshot' })).json()
  }

  async kill9(): Promise<void> {
    this.#agent.destroy()
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}

/** So many processes at once. */
export function startFleet(count: number, settings: ProcessSettings): Promise<SessionProcess[]> {
  return Promise.all(Array.from({ length: count }, () => SessionProcess.start(settings)))
}
