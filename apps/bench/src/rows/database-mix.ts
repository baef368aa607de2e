import type { RequestKind, TrialVariant } from '../harness/row.ts'

/** Of 11 requests one is a critical write, nine are reads, and one needs no database. */
export const databaseMix: readonly RequestKind[] = [
  { name: 'critical', method: 'POST', path: '/critical', share: 1 },
  { name: 'normal', method: 'GET', path: '/normal', share: 9 },
  { name: 'public', method: 'GET', path: '/public', share: 1 },
]

export const script = 'src/servers/database-service.ts'

const contenders = [
  ['ours', 'ours'],
  ['pg.Pool', 'plain'],
  ['cockatiel', 'cockatiel'],
  ['opossum', 'opossum'],
] as const

/** A client that has its answer asks again after this long: without it, 200 clients of a cache are a load test of the cache. */
const PAUSE_MS = 50

/** Every contender under so many requests per second, and under 200 clients that each wait for their answer. */
export function variantsAt(perSecond: number, against?: string): readonly TrialVariant[] {
  const compared = against === undefined ? {} : { against }
  return [
    ...contenders.map(([name, argument]) => ({
      name: `${name}, ${perSecond}/s`,
      script,
      args: [argument],
      load: { perSecond },
      ...compared,
    })),
    ...contenders.map(([name, argument]) => ({
      name: `${name}, 200 clients`,
      script,
      args: [argument],
      load: { clients: 200, pauseMs: PAUSE_MS },
      ...compared,
    })),
  ]
}
