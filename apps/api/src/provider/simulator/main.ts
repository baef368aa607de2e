// pnpm --filter @holdfast/api provider [--seed 1] [--mode well] …

import { parseArgs } from 'node:util'
import { reasonOf } from '../../reason.ts'
import { duration, integer, type Kind } from '../../settings/setting.ts'
import { DEFAULT_FIXTURE } from './fixture.ts'
import { MODE_NAMES, MODES } from './mode.ts'
import { DEFAULT_SPORTS, ProviderSimulator } from './simulator.ts'

const USAGE = `usage: pnpm --filter @holdfast/api provider [options]
  --port 8100             where it listens
  --control-port 8101     GET and PUT /control: { "mode": "slow", "delay_ms": 2000 }
  --host 127.0.0.1
  --seed 1                the same seed tells the same events
  --sports ${DEFAULT_SPORTS.join(',')}
  --every 2m              from the start of an event to that of the next
  --open 1h               how long before its start an event is told
  --lasts 5m              from the start of an event to its result
  --kept 15m              how long a result is told
  --odds-every 5s         how often odds change
  --limit 1000000         more requests in a minute are answered 429
  --mode well             ${MODE_NAMES.join(', ')}
  --delay 2s              of slow and drip
  --retry-after 30        seconds, of limited and unavailable
modes:
${MODE_NAMES.map((mode) => `  ${mode.padEnd(16)}${MODES[mode]}`).join('\n')}`

const LONGEST_MS = 86_400_000

function read<T>(name: string, kind: Kind<T>, text: string): T {
  const parsed = kind.parse(text)
  if ('value' in parsed) return parsed.value
  throw new RangeError(
    `--${name} is ${JSON.stringify(text.slice(0, 80))}, which ${parsed.wrong}. ${parsed.fix}`,
  )
}

async function run(words: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: words.filter((word) => word !== '--'),
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      port: { type: 'string', default: '8100' },
      'control-port': { type: 'string', default: '8101' },
      host: { type: 'string', default: '127.0.0.1' },
      seed: { type: 'string', default: String(DEFAULT_FIXTURE.seed) },
      sports: { type: 'string', default: DEFAULT_SPORTS.join(',') },
      every: { type: 'string', default: '2m' },
      open: { type: 'string', default: '1h' },
      lasts: { type: 'string', default: '5m' },
      kept: { type: 'string', default: '15m' },
      'odds-every': { type: 'string', default: '5s' },
      limit: { type: 'string', default: '1000000' },
      mode: { type: 'string', default: 'well' },
      delay: { type: 'string', default: '2s' },
      'retry-after': { type: 'string', default: '30' },
    },
  })
  if (values.help) return console.log(USAGE)
  const mode = MODE_NAMES.find((name) => name === values.mode)
  if (mode === undefined) {
    throw new RangeError(`--mode is ${JSON.stringify(values.mode)}. Write one of ${MODE_NAMES.join(', ')}.`)
  }
  const time = duration(1, LONGEST_MS)
  const port = integer(0, 65_535)
  const simulator = await ProviderSimulator.start({
    host: values.host,
    port: read('port', port, values.port),
    controlPort: read('control-port', port, values['control-port']),
    sports: values.sports.split(',').map((sport) => sport.trim()),
    limitPerMinute: read('limit', integer(1, 1_000_000), values.limit),
    fixture: {
      seed: read('seed', integer(0, 4_294_967_295), values.seed),
      everyMs: read('every', time, values.every),
      openMs: read('open', time, values.open),
      lastsMs: read('lasts', time, values.lasts),
      keptMs: read('kept', time, values.kept),
      oddsTickMs: read('odds-every', time, values['odds-every']),
    },
    behaviour: {
      mode,
      delayMs: read('delay', time, values.delay),
      retryAfterSeconds: read('retry-after', integer(0, 1_000_000_000), values['retry-after']),
    },
  })
  console.log(`the provider listens: ODDS_PROVIDER_URL=${simulator.url}`)
  console.log(
    `its behaviour: curl -X PUT ${simulator.controlUrl}/control -H 'Content-Type: application/json' -d '{ "mode": "limited" }'`,
  )
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void simulator.close())
}

await run(process.argv.slice(2)).catch((error: unknown) => {
  process.exitCode = 1
  const { code, port } = Object(error) as { code?: unknown; port?: unknown }
  if (code === 'EADDRINUSE') {
    console.error(`port ${port} is in use: choose others with --port and --control-port`)
  } else console.error(`${reasonOf(error)}\n\n--help tells what can be given.`)
})
