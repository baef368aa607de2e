// What a process does that a primary has forked: it says when it serves, answers what is asked at the management port and
// whether it is there at all, makes room for its successor, and does not outlive its primary.

import cluster from 'node:cluster'
import { subscribe } from 'node:diagnostics_channel'
import { Server } from 'node:net'
import { systemClock } from '@holdfast/footing'
import type { Lifecycle, StateEvent } from '@holdfast/lifecycle'
import type { FastifyInstance } from 'fastify'
import { type Config, workersOf } from './config.ts'
import { followLevel } from './worker-level.ts'
import {
  type InsideAnswer,
  type Question,
  readMessage,
  type Serving,
  tellPrimary,
} from './worker-messages.ts'

/** Who has connected asks within this time. */
const JUST_COME_MS = 500

/** Whether this process was forked by a primary. */
export const isWorker = cluster.isWorker

/** Among how many the settings of this machine are shared. */
export function sharersOf(config: Config): number {
  return isWorker ? workersOf(config) : 1
}

/** What the terminal sends to all of them is for the primary to act on. */
export function leaveTerminalToPrimary(): void {
  if (!isWorker) return
  for (const signal of ['SIGINT', 'SIGHUP']) process.on(signal, () => {})
}

/** Tells the primary that this one serves, and does as it says from now on. */
export function serveUnderPrimary(
  life: Lifecycle,
  fastify: FastifyInstance,
  serving: Omit<Serving, 'kind'>,
): void {
  // Node would end a process whose primary has gone, in the middle of what it serves.
  if (cluster.worker !== undefined) cluster.worker.exitedAfterDisconnect = true
  process.once('disconnect', () => life.stop('the primary process has gone'))
  process.on('message', (message: unknown) => {
    const heard = readMessage(message)
    if (heard.kind === 'holdfast:api:pulse') tellPrimary(heard)
    if (heard.kind === 'holdfast:api:question') answer(fastify.health.management, heard)
    if (heard.kind === 'holdfast:api:cordon') obey(life, heard.reason)
    if (heard.kind === 'holdfast:api:replaced') {
      // The port stays open: what comes to it is given to the others.
      Server.prototype.close.call(fastify.server)
      // Who is connected is told to leave, but not that nobody is ready here: who has just come was meant for any of them.
      systemClock.schedule(JUST_COME_MS, () => life.stop('another worker has taken its place'))
    }
  })
  subscribe('holdfast:lifecycle:state', (event) => {
    const { from, to, reason } = event as StateEvent
    if (to === 'cordoned') tellPrimary({ kind: 'holdfast:api:cordon', reason })
    if (from === 'cordoned' && to === 'serving') tellPrimary({ kind: 'holdfast:api:cordon' })
  })
  followLevel(fastify.logging)
  tellPrimary({ kind: 'holdfast:api:serving', ...serving })
}

/** A cordon is that of the whole instance. */
function obey(life: Lifecycle, reason: string | undefined): void {
  const isCordoned = life.snapshot().cordon !== undefined
  if (reason === undefined && isCordoned) life.uncordon()
  if (reason !== undefined && !isCordoned) life.cordon(reason)
}

async function answer(
  management: FastifyInstance | undefined,
  { id, method, url, accept }: Question,
): Promise<void> {
  // There is a question only where there is a port. What no URL can be made of, as of `http://[`, is refused: all workers
  // are asked the same, and none must end by it.
  const headersOf = accept === undefined ? {} : { accept }
  const given = await management?.inject({ method, url, headers: headersOf }).catch(() => UNREADABLE)
  if (given === undefined) return
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(given.headers)) {
    if (value !== undefined && !OF_THE_CONNECTION.includes(name)) headers[name] = String(value)
  }
  const answer: InsideAnswer = { status: given.statusCode, headers, body: given.payload }
  tellPrimary({ kind: 'holdfast:api:answer', id, answer })
}

const UNREADABLE = {
  statusCode: 400,
  headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' },
  payload: 'the path cannot be read\n',
}
const OF_THE_CONNECTION = ['connection', 'keep-alive', 'transfer-encoding', 'date']
