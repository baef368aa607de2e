// The level of the log is that of all workers. Whoever is asked to change it asks the primary, which tells all of them, him
// included: so all end with the one that it heard last. Those that come while it is in force get it, too.

import cluster from 'node:cluster'
import { systemClock } from '@holdfast/footing'
import { type Logging, MAX_LEVEL_CHANGE_MS, type SharedLevel } from '@holdfast/logging'
import { type LevelOrder, readMessage, tellPrimary, tellWorker } from './worker-messages.ts'
import { ANSWER_MS, type WorkerQuestions } from './worker-questions.ts'

/** The primary waits for its workers first. */
const PRIMARY_MS = 2 * ANSWER_MS

/** In the primary: passes on what one of the workers was asked for. */
export function passOnLevels(questions: WorkerQuestions): void {
  let last: LevelOrder = {}
  cluster.on('message', (worker, message: unknown) => {
    const heard = readMessage(message)
    if (heard.kind === 'holdfast:api:serving' && leftMs(last) > 0) {
      tellWorker(worker, { kind: 'holdfast:api:level', id: 0, order: last })
    }
    if (heard.kind !== 'holdfast:api:level-wish') return
    last = heard.order
    questions.order(last).then((granted) => {
      tellWorker(worker, { kind: 'holdfast:api:level-granted', id: heard.id, ...granted })
    })
  })
}

/** In a worker: does as the primary says. */
export function followLevel(logging: Pick<Logging, 'setLevel' | 'resetLevel'>): void {
  process.on('message', (message: unknown) => {
    const heard = readMessage(message)
    if (heard.kind !== 'holdfast:api:level') return
    const { id, order } = heard
    const forMs = leftMs(order)
    // It may be over, when it has waited behind something long.
    if (order.level !== undefined && forMs > 0) logging.setLevel(order.level, forMs)
    else logging.resetLevel()
    tellPrimary({ kind: 'holdfast:api:done', id })
  })
}

/** For `share` of @holdfast/logging, in one of so many workers: this one alone took it where the primary says nothing. */
export function sharedLevel(
  workers: number,
): (level: string | undefined, forMs: number) => Promise<SharedLevel> {
  let ids = 0
  const open = new Map<number, (shared: SharedLevel) => void>()
  process.on('message', (message: unknown) => {
    const heard = readMessage(message)
    if (heard.kind !== 'holdfast:api:level-granted') return
    const { id, taken, of } = heard
    open.get(id)?.({ taken, of })
  })
  return async (level, forMs) => {
    ids += 1
    const id = ids
    const { promise, resolve } = Promise.withResolvers<SharedLevel>()
    open.set(id, resolve)
    const cancel = systemClock.schedule(PRIMARY_MS, () => resolve({ taken: 1, of: workers }))
    const order = level === undefined ? {} : { level, untilMs: systemClock.wallMs() + forMs }
    tellPrimary({ kind: 'holdfast:api:level-wish', id, order })
    const shared = await promise
    cancel()
    open.delete(id)
    return shared
  }
}

function leftMs({ untilMs = 0 }: LevelOrder): number {
  // The clock of the machine can be set meanwhile.
  return Math.min(untilMs - systemClock.wallMs(), MAX_LEVEL_CHANGE_MS)
}
