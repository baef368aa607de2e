// Real workers: killed, closed, blocked. What they have counted never falls, and nobody who asks waits for them.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { waitUntil } from '@holdfast/test-kit'
import t from 'tap'
import { promtoolCheck } from './promtool.ts'

t.setTimeout(120_000)

const script = fileURLToPath(new URL('./cluster-primary.ts', import.meta.url))
const primary = spawn(process.execPath, ['--conditions=@holdfast/source', script], {
  stdio: ['pipe', 'pipe', 'inherit'],
})
t.teardown(async () => {
  const ended = once(primary, 'exit')
  primary.stdin.end()
  await ended
})
const [line] = (await once(createInterface({ input: primary.stdout }), 'line')) as [string]
const { own, shared } = JSON.parse(line) as { readonly own: number; readonly shared: number }
const order = (text: string) => primary.stdin.write(`${text}\n`)
const headers = { authorization: 'Bearer a-token' }
const scrape = async (port = own) => (await fetch(`http://127.0.0.1:${port}/metrics`, { headers })).text()
const numberOf = (text: string, series: string) =>
  Number(
    text
      .split('\n')
      .find((one) => one.startsWith(`${series} `))
      ?.split(' ')[1] ?? 0,
  )

t.test('the numbers of all workers are one, for promtool too', async (t) => {
  for (const worker of [0, 1, 2]) order(`count ${worker}`)
  await waitUntil(async () => numberOf(await scrape(), 'done_total') === 300)
  const text = await scrape()
  t.equal(promtoolCheck(text), '')
  t.match(text, 'metrics_workers{state="live"} 3\nmetrics_workers{state="stale"} 0\n')
  t.equal((text.match(/^at /gm) ?? []).length, 1)
  t.equal(numberOf(text, 'app_info{version="0.0.0",environment="development"}'), 1)
})

t.test('whichever worker is asked tells of all of them', async (t) => {
  t.equal(numberOf(await scrape(shared), 'done_total'), 300)
  const accept = { ...headers, accept: 'application/openmetrics-text' }
  const open = await (await fetch(`http://127.0.0.1:${shared}/metrics`, { headers: accept })).text()
  t.match(open, /^done_total 300$/m)
  t.match(open, /# TYPE done counter\n/)
  t.match(open, /# EOF\n$/)
})

t.test('no counter falls when a worker is killed, or closed, and a new one begins', async (t) => {
  order('kill 0')
  await waitUntil(async () => (await scrape()).includes('metrics_workers{state="live"} 2'))
  t.equal(numberOf(await scrape(), 'done_total'), 300)
  order('count 1')
  order('close 1')
  await waitUntil(async () => (await scrape()).includes('metrics_workers{state="live"} 1'))
  t.equal(numberOf(await scrape(), 'done_total'), 400)
  order('fork')
  await waitUntil(async () => (await scrape()).includes('metrics_workers{state="live"} 2'))
  order('count 3')
  await waitUntil(async () => numberOf(await scrape(), 'done_total') === 500)
  await waitUntil(async () => numberOf(await scrape(), 'exits_total') === 2, {
    what: 'what the primary counts',
  })
  t.equal(numberOf(await scrape(shared), 'exits_total'), 2, 'whoever is asked')
})

t.test('a worker that is blocked holds no scrape up, and is told of', async (t) => {
  order('block 2')
  await waitUntil(async () => (await scrape()).includes('metrics_workers{state="stale"} 1'), {
    intervalMs: 50,
  })
  const beganMs = performance.now()
  t.equal(numberOf(await scrape(), 'done_total'), 500)
  t.comment(`answered in ${Math.round(performance.now() - beganMs)} ms while a worker was blocked`)
  await waitUntil(async () => (await scrape()).includes('metrics_workers{state="stale"} 0'))
})

t.test('the port of the primary is for who has the token', async (t) => {
  const url = `http://127.0.0.1:${own}`
  t.equal((await fetch(`${url}/metrics`)).status, 401)
  const strange = await fetch(`${url}/metrics`, { headers: { ...headers, accept: 'constructor' } })
  t.match(strange.headers.get('content-type'), 'text/plain', 'whatever is asked for, the primary lives on')
  t.equal((await fetch(`${url}/other`, { headers })).status, 404)
  t.equal((await fetch(`${url}/metrics`, { headers, method: 'POST' })).status, 405)
})
