// Asks a service again and again from a thread of its own, so that what is measured is how long the service takes, and
// not how busy the test is with everything else.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { Pool } from 'undici'

interface Asked {
  readonly url: string
  readonly path: string
  readonly everyMs: number
}

/** The thread, seen from the test. */
export class ProbeThread {
  readonly #worker: Worker

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  /** Begins to ask; resolves when the first answer has come. */
  static async start(asked: Asked): Promise<ProbeThread> {
    const worker = new Worker(new URL(import.meta.url), { workerData: asked })
    await once(worker, 'message')
    return new ProbeThread(worker)
  }

  /** Ends it; answers how long each answer took, the shortest first. */
  async stop(): Promise<readonly number[]> {
    const answered = once(this.#worker, 'message')
    this.#worker.postMessage('stop')
    const [latenciesMs] = (await answered) as [readonly number[]]
    await this.#worker.terminate()
    return latenciesMs.toSorted((left, right) => left - right)
  }
}

async function probe({ url, path, everyMs }: Asked): Promise<void> {
  const client = new Pool(url, { connections: 1, pipelining: 1 })
  const latenciesMs: number[] = []
  let running = true
  parentPort?.once('message', () => {
    running = false
  })
  while (running) {
    const startMs = performance.now()
    const { body } = await client.request({ method: 'GET', path })
    await body.dump()
    latenciesMs.push(performance.now() - startMs)
    if (latenciesMs.length === 1) parentPort?.postMessage('begun')
    await sleep(everyMs)
  }
  await client.close()
  parentPort?.postMessage(latenciesMs)
}

if (!isMainThread) await probe(workerData as Asked)
