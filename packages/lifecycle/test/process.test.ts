import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { RawConnection, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { answerOf } from './served-app.ts'

t.setTimeout(60_000)

const programOf = (name: string) => [
  '--conditions=@holdfast/source',
  new URL(`./${name}.ts`, import.meta.url).pathname,
]

class Service {
  readonly #child: ChildProcess
  readonly ended: Promise<readonly [code: number | null, signal: string | null]>
  text = ''

  constructor(t: Test, start: 'fast' | 'slow', drainMs: number) {
    const args = [...programOf('served-process'), start, String(drainMs)]
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#child.stdout?.on('data', (chunk) => {
      this.text += String(chunk)
    })
    this.ended = once(this.#child, 'close').then(([code, signal]) => [code, signal])
    t.teardown(() => this.#child.kill('SIGKILL'))
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  heard(what: string): Promise<void> {
    return waitUntil(() => this.text.includes(what), { what, timeoutMs: 30_000 })
  }

  async port(): Promise<number> {
    await this.heard('"started"')
    return Number(/"port":(\d+)/.exec(this.text)?.[1])
  }
}

t.test('a signal while it starts ends it in order', async (t) => {
  const service = new Service(t, 'slow', 60_000)
  await service.heard('"starting"')
  service.kill('SIGTERM')
  t.strictSame(await service.ended, [0, null])
  t.match(service.text, /"reason":"SIGTERM","exitCode":0/)
})

t.test('SIGINT, clients that stay and never speak: 0, and one line about it', async (t) => {
  const service = new Service(t, 'fast', 200)
  const port = await service.port()
  t.match(
    service.text,
    /"startedInMs":\d+,"phases":\{"config":\d+,"warm":\d+,"health":\d+,"listen":\d+,"ready":\d+\}/,
  )
  const idle = new RawConnection(port, t)
  const mute = new RawConnection(port, t)
  idle.ask('/')
  await waitUntil(() => idle.answers === 1)
  service.kill('SIGINT')
  t.strictSame(await service.ended, [0, null])
  await waitUntil(() => idle.closed && mute.closed)
  t.equal(service.text.split('"closed"').length, 2)
})

t.test('a second signal skips the hold, a third one ends it with 1 and names what held it', async (t) => {
  const service = new Service(t, 'fast', 60_000)
  const client = new RawConnection(await service.port(), t)
  client.ask('/hangs')
  service.kill('SIGTERM')
  await service.heard('"closing"')
  const pause = () => new Promise((resolve) => setTimeout(resolve, 600))
  await pause()
  service.kill('SIGINT')
  await service.heard('the hold is skipped')
  await pause()
  service.kill('SIGTERM')
  t.strictSame(await service.ended, [1, null])
  t.match(service.text, /"held":\["request GET \/hangs"\]/)
})

t.test('an exception that nobody catches ends it in order, with 1', async (t) => {
  const service = new Service(t, 'fast', 60_000)
  t.match(await answerOf(await service.port(), '/throws'), { status: 200 })
  t.strictSame(await service.ended, [1, null])
  t.match(service.text, /nobody catches this[\s\S]*"exitCode":1/)
})

t.test('a start that fails without a log says why on standard error', async (t) => {
  for (const kind of ['none', 'silent']) {
    const { status, stderr } = spawnSync(process.execPath, [...programOf('mute-process'), kind])
    t.equal(status, 1, kind)
    t.match(
      String(stderr),
      /nobody caught this[\s\S]*Error: the database is away[\s\S]*mute-process.ts/,
      kind,
    )
  }
})
