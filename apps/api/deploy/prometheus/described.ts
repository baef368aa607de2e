// What the service says about its metrics: read from its registry, so that it is told once, where they are made.

import { systemClock } from '@holdfast/footing'
import { WorkerFleet } from '@holdfast/lifecycle'
import { Logs } from '@holdfast/logging'
import { collectCluster, OwnRegistry } from '@holdfast/metrics'
import type { FastifyRequest } from 'fastify'
import { buildApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { fleetMetrics } from '../../src/fleet-metrics.ts'
import { who } from '../../src/logger.ts'
import { Secret } from '../../src/secret.ts'

/** One metric, without its numbers. */
export interface Described {
  readonly type: string
  readonly unit: string
  readonly labels: readonly string[]
  readonly help: string
}

/** A metric of any maker, as registries have them. */
interface Registered {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly labelNames?: readonly string[]
}

/** Where nobody listens. */
const NOWHERE = '127.0.0.1:1'
/** Everything that has metrics is switched on; nothing of it is asked for anything. */
const EVERYTHING = {
  ENABLE_METRICS: 'true',
  METRICS_TOKEN: 'nobody-asks-with-this-token',
  REDIS_URL: `redis://${NOWHERE}`,
  LOG_LEVEL: 'fatal',
}
/** For applications that share a registry; this one has its own. */
const UNUSED = 'app'
const UNITS: Readonly<Record<string, string>> = {
  timestamp_seconds: 'seconds since 1970',
  time_seconds: 'seconds since 1970',
  seconds: 'seconds',
  bytes: 'bytes',
  ratio: 'ratio',
  percent: 'percent',
  info: 'always 1',
}

/** All metrics of the service, by name. */
export async function describeService(): Promise<Readonly<Record<string, Described>>> {
  const { config } = loadConfig(EVERYTHING)
  const { fastify, firstLook } = await buildApp({
    config,
    logs: new Logs<FastifyRequest>({ destination: { write() {} }, level: 'silent', ...who }),
    dataDirectory: undefined,
    databaseUrl: new Secret(`postgres://nobody@${NOWHERE}/nothing`),
  })
  try {
    await fastify.ready()
    await firstLook
    const own = describe(fastify.metrics.registry.getMetricsAsArray() as readonly Registered[])
    return sorted({ ...own, ...describePrimary() })
  } finally {
    await fastify.close()
  }
}

/** What is added where there are several workers: by the process above them. */
export function describePrimary(): Readonly<Record<string, Described>> {
  const registry = new OwnRegistry()
  const log = { info() {}, warn() {}, error() {}, fatal() {} }
  const fork = () => {
    throw new Error('there is nobody to fork')
  }
  fleetMetrics(registry, new WorkerFleet({ workers: 1, fork, clock: systemClock, log }))
  const told = collectCluster({ on() {}, off() {} }, systemClock).text()
  return describe([...registry.getMetricsAsArray(), ...readOut(told)])
}

/** The metrics of a scrape, each with the labels of its first series. */
function readOut(text: string): readonly Registered[] {
  return [...text.matchAll(/^# HELP (\w+) (.*)\n# TYPE \1 (\w+)\n\w+(.*) /gm)].map(
    ([, name = '', help = '', type = '', labels = '']) => {
      const labelNames = [...labels.matchAll(/(\w+)="/g)].map(([, label = '']) => label)
      return { name, help, type, labelNames }
    },
  )
}

/** The same of a registry. */
export function describe(metrics: readonly Registered[]): Readonly<Record<string, Described>> {
  const entries = metrics.map(({ name, type, help, labelNames = [] }): [string, Described] => {
    const labels = labelNames.filter((label) => label !== UNUSED)
    return [name, { type, unit: unitOf(name), labels, help: String(help) }]
  })
  return sorted(Object.fromEntries(entries))
}

/** By name. */
export function sorted<Value>(metrics: Readonly<Record<string, Value>>): Readonly<Record<string, Value>> {
  return Object.fromEntries(Object.entries(metrics).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function unitOf(name: string): string {
  const bare = name.replace(/_total$/, '')
  const unit = Object.keys(UNITS).find((suffix) => bare.endsWith(`_${suffix}`))
  return unit === undefined ? '' : (UNITS[unit] ?? '')
}
