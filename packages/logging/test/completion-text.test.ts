import t from 'tap'
import { CompletionLine } from '../src/completion.ts'
import { completionText, jsonText } from '../src/completion-text.ts'
import { createGuardedLogger } from '../src/guarded-logger.ts'
import { LineMaker } from '../src/log-line.ts'
import { Scrubber } from '../src/scrubber.ts'
import { SecretNames } from '../src/secret-names.ts'

const PROCESS = ',"worker":3,"pid":42'
const TIME = '2026-11-22T06:15:00.000Z'

const texts: string[] = []
const logger = createGuardedLogger({
  level: 'info',
  process: PROCESS,
  lines: new LineMaker(new Scrubber(new SecretNames())),
  serializers: {},
  time: () => TIME,
  destination: { write: (text: string) => texts.push(text) },
  currentScope: () => undefined,
  onLine() {},
})

const PLAIN = {
  correlation_id: 'shop-000042',
  request_id: '01890000-0000-7000-8000-000000000001',
  trace_id: undefined,
  span_id: undefined,
  tenant: undefined,
  user_id: undefined,
  method: 'GET',
  route: '/bets/:id',
  path: '/bets/7',
  status: 200,
  duration_ms: 1.25,
  bytes: 12,
  aborted: undefined,
  slow: undefined,
  err: undefined,
} as const

/** Whatever a client can put into a path, or an application into a name. */
const AWKWARD = [
  '/',
  '/a"b',
  '/a\\b',
  '/\u0001\u001f',
  '/\n\r\t',
  '/\u007f',
  '/\u0080\u00ff',
  '/\u2028\u2029',
  '/\u{1f600}',
  '/~!#$%&()*+,-./:<=>@[]^_`{|} ',
  '',
]

t.test('a line that is made as text is the one that pino would write', async (t) => {
  const cases = [
    PLAIN,
    { ...PLAIN, method: undefined, route: undefined, bytes: undefined },
    { ...PLAIN, aborted: true as const, slow: true as const, status: 499 },
    { ...PLAIN, trace_id: '4bf92f3577b34da6a3ce929d0e0e4736', span_id: '00f067aa0ba902b7' },
    ...AWKWARD.map((text) => ({
      ...PLAIN,
      path: text,
      method: text,
      route: text,
      tenant: text,
      user_id: text,
    })),
  ]
  for (const fields of cases) {
    texts.length = 0
    logger.warn(new CompletionLine(fields), 'request completed')
    const routeText = fields.route === undefined ? undefined : jsonText(fields.route)
    const frame = { level: 40, time: TIME, process: PROCESS, msg: 'request completed', routeText }
    t.equal(completionText(frame, fields), texts[0])
  }
})

t.test('a text is quoted as JSON has it', async (t) => {
  // Half a character, which pino would write as it is.
  for (const text of [...AWKWARD, '/\ud800']) t.equal(jsonText(text), JSON.stringify(text))
})
