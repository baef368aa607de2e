// What is done to the world: each fault by its name, what it is done to, and how. It is over when what it was done to is
// there again.

import { setTimeout as sleep } from 'node:timers/promises'
import type { RealServer, SeededRandom } from '@holdfast/test-kit'
import type { Member } from './member.ts'
import { BOT_LEASE_MS, type Kind, type World } from './world.ts'

/** What chance decides about a fault, before it begins. */
export interface Chance {
  /** Which of two. */
  readonly at: 0 | 1
  /** How much of what is possible, from 0 to 1. */
  readonly share: number
}

export interface Fault {
  readonly name: string
  /** Of one target one fault goes on at a time. */
  readonly target: string
  strike(chance: Chance): Promise<void>
}

/** A fault of the plan: `afterMs` after the one before has begun. */
export interface PlannedFault {
  readonly fault: Fault
  readonly chance: Chance
  readonly afterMs: number
}

/** Between two faults. */
const PAUSE_MS = { from: 300, to: 2500 }
const ROUNDS = 4

/** All faults, again and again, each time in another order: nothing is left to chance once it has begun. */
export function planOf(faults: readonly Fault[], random: SeededRandom): readonly PlannedFault[] {
  return Array.from({ length: ROUNDS }, () => random.shuffle(faults))
    .flat()
    .map((fault) => ({
      fault,
      chance: { at: random.pick([0, 1] as const), share: random.next() },
      afterMs: random.int(PAUSE_MS.from, PAUSE_MS.to),
    }))
}

export function faultsOf(world: World): readonly Fault[] {
  const { postgres, redis, pooler } = world
  return [
    ...faultsOfWeb(world),
    ...faultsOfWorkers(world, 'worker_bots', 3 * BOT_LEASE_MS),
    // Shorter than a job may go without a word.
    ...faultsOfWorkers(world, 'worker_odds', 6000),
    ...faultsOfWorkers(world, 'worker_settlement', 6000),
    ...faultsOfServer('PostgreSQL', postgres, 4000),
    ...faultsOfServer('Redis', redis, 4000),
    ...(pooler === undefined ? [] : faultsOfServer('PgBouncer', pooler, 4000)),
  ]
}

/** As a rollout does it: nobody touches one of them before HAProxy has the other one back. */
function faultsOfWeb({ fleet: { web }, isSeen }: World): readonly Fault[] {
  const named = (what: string, strike: (member: Member, share: number) => Promise<void>): Fault => ({
    name: `a web ${what}`,
    target: 'web',
    strike: async ({ at, share }) => {
      await strike(web[at], share)
      await isSeen(web[at], 'UP')
    },
  })
  return [
    named('is killed', async (member) => {
      await member.kill()
      await isSeen(member, 'DOWN')
      await member.again()
    }),
    named('ends in order, and another one begins', async (member) => {
      await member.end()
      await member.again()
    }),
    named('is frozen for a moment', async (member, share) => {
      member.freeze()
      await sleep(between(200, 1500, share))
      member.thaw()
    }),
    named('is frozen until HAProxy has noticed', async (member, share) => {
      member.freeze()
      await isSeen(member, 'DOWN')
      await sleep(between(0, 2000, share))
      member.thaw()
    }),
  ]
}

function faultsOfWorkers(
  { fleet }: World,
  kind: Exclude<Kind, 'web'>,
  longestFreezeMs: number,
): readonly Fault[] {
  const members = fleet[kind]
  const named = (what: string, strike: (member: Member, share: number) => Promise<void>): Fault => ({
    name: `a ${kind} ${what}`,
    target: kind,
    strike: ({ at, share }) => strike(members[at], share),
  })
  return [
    named('is killed', async (member) => {
      await member.kill()
      await member.again()
    }),
    named('ends in order, and another one begins', async (member) => {
      await member.end()
      await member.again()
    }),
    named('is frozen', async (member, share) => {
      member.freeze()
      await sleep(between(100, longestFreezeMs, share))
      member.thaw()
    }),
  ]
}

function faultsOfServer(name: string, server: RealServer, longestMs: number): readonly Fault[] {
  const named = (what: string, strike: (share: number) => Promise<void>): Fault => ({
    name: `${name} ${what}`,
    target: name,
    strike: ({ share }) => strike(share),
  })
  return [
    named('is killed', async (share) => {
      await server.kill9()
      await sleep(between(100, longestMs / 2, share))
      await server.restart()
    }),
    named('is frozen', async (share) => {
      server.freeze()
      await sleep(between(100, longestMs, share))
      server.thaw()
    }),
    named('is started again', () => server.restart()),
    named('resets its connections', async (share) => {
      for (let times = 0; times < 5; times += 1) {
        server.proxy.reset()
        await sleep(between(20, 200, share))
      }
    }),
  ]
}

function between(fromMs: number, toMs: number, share: number): number {
  return Math.round(fromMs + share * (toMs - fromMs))
}
