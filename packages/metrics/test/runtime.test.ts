// The process and Node.js, as they are measured.

import { metrics, type RuntimeClock } from '@holdfast/metrics'
import { HandClock, waitUntil } from '@holdfast/test-kit'
import Fastify from 'fastify'
import t from 'tap'
import { maxOpenFiles, openFiles } from '../src/open-files-directory.ts'
import { promtoolCheck } from './promtool.ts'

t.setTimeout(60_000)

t.test('promtool finds nothing wrong with all of them, and reading resets nothing', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(metrics, { version: '1.2.3', environment: 'test' })
  app.get('/', async () => 'here')
  await app.inject({ url: '/' })
  await waitUntil(async () => !/^nodejs_eventloop_delay_seconds_count 0$/m.test(await app.metrics.scrape()))
  const text = await app.metrics.scrape()
  t.equal(promtoolCheck(text), '')
  const value = (name: string, from: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(from)?.[1])
  for (const name of [
    'process_cpu_user_seconds_total',
    'process_cpu_system_seconds_total',
    'process_cpu_seconds_total',
    'process_start_time_seconds',
    'process_resident_memory_bytes',
    'process_open_fds',
    'process_max_fds',
    'nodejs_heap_size_total_bytes',
    'nodejs_heap_size_used_bytes',
    'nodejs_heap_size_limit_bytes',
    'nodejs_external_memory_bytes',
    'nodejs_eventloop_active_seconds_total',
    'nodejs_eventloop_delay_seconds_count',
  ]) {
    t.ok(value(name, text) > 0, `${name} ${value(name, text)}`)
  }
  // A loop that is busy all the time has none.
  t.ok(value('nodejs_eventloop_idle_seconds_total', text) >= 0)
  t.match(text, `nodejs_version_info{version="${process.version}"} 1\n`)
  t.match(text, /^nodejs_active_resources\{type="\w+"\} \d+$/m)
  t.match(text, /^app_info\{version="1.2.3",environment="test"\} 1$/m)
  const later = await app.metrics.scrape()
  const counters = [
    'process_cpu_seconds_total',
    'nodejs_eventloop_active_seconds_total',
    'nodejs_eventloop_delay_seconds_count',
  ]
  for (const name of counters) t.ok(value(name, later) >= value(name, text), name)
})

t.test('every collection of memory is counted, also those that are told together', async (t) => {
  let told: Parameters<RuntimeClock['onGarbage']>[0] = () => {}
  let ended = false
  const runtimeClock: RuntimeClock = {
    startedWallMs: 1_700_000_000_000,
    loop: () => ({ active: 1500, idle: 500 }),
    onGarbage: (callback) => {
      told = callback
      return () => {
        ended = true
      }
    },
  }
  const clock = new HandClock()
  const app = Fastify()
  await app.register(metrics, { clock, runtimeClock })
  for (let at = 0; at < 20; at += 1) told('minor', 0.4)
  told('major', 30)
  await clock.advance(60)
  const text = await app.metrics.scrape()
  t.match(text, /^nodejs_gc_duration_seconds_bucket\{kind="minor",le="0.0005"\} 20$/m)
  t.match(text, /^nodejs_gc_duration_seconds_count\{kind="major"\} 1$/m)
  t.match(text, /^nodejs_gc_duration_seconds_count\{kind="weakcb"\} 0$/m)
  t.match(text, /^nodejs_eventloop_active_seconds_total 1.5$/m)
  t.match(text, /^nodejs_eventloop_delay_seconds_bucket\{le="0.001"\} 3$/m)
  t.match(text, /^process_start_time_seconds 1700000000$/m)
  t.match(text, /^http_requests_in_flight 0$/m)
  await app.close()
  t.ok(ended)
  t.equal(clock.pendingTimers, 0)
})

t.test('the machine tells of its collections', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(metrics)
  let kept: unknown[] = []
  await waitUntil(async () => {
    kept = Array.from({ length: 100_000 }, (_, at) => ({ at }))
    return /^nodejs_gc_duration_seconds_count\{kind="minor"\} [1-9]/m.test(await app.metrics.scrape())
  })
  t.equal(kept.length, 100_000)
})

t.test('where nobody tells of open files, there is no number', (t) => {
  t.equal(openFiles('/nowhere'), undefined)
  t.equal(maxOpenFiles('/nowhere'), undefined)
  t.end()
})
