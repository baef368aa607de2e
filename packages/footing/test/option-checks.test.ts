import { LONGEST_TIMER_MS, type MetricsRegistry, OptionChecks } from '@holdfast/footing'
import t from 'tap'

const checks = new OptionChecks(
  (option, expected, received) => new RangeError(`${option} must be ${expected}, received ${received}`),
)

t.test('a value that fits is answered as it was given, 0 and false included', async (t) => {
  t.equal(checks.count('max', 0, 0), 0)
  t.equal(checks.count('max', 7), 7)
  t.equal(checks.number('share', 0, 0, 1), 0)
  t.equal(checks.number('share', 1, 0, 1), 1)
  t.equal(checks.numberOrInfinity('times', 1.5, 1), 1.5)
  t.equal(checks.numberOrInfinity('times', Number.POSITIVE_INFINITY, 1), Number.POSITIVE_INFINITY)
  t.equal(checks.duration('waitMs', 0), 0)
  t.equal(checks.duration('waitMs', LONGEST_TIMER_MS), LONGEST_TIMER_MS)
  t.equal(checks.durationOrInfinity('waitMs', 0.5), 0.5)
  t.equal(checks.durationOrInfinity('waitMs', Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY)
  t.equal(checks.flag('on', false), false)
  t.equal(checks.text('name', 'x'), 'x')
  t.equal(checks.oneOf('order', 'fifo', ['fifo', 'lifo']), 'fifo')
  const object = {}
  t.equal(checks.object('part', object), object)
  const f = () => {}
  t.equal(checks.callable('load', f), f)
  t.equal(checks.callable('load', undefined), undefined)
  t.equal(checks.synchronous('load', f), f)
  t.equal(checks.synchronous('load', undefined), undefined)
  const registry: MetricsRegistry = { registerMetric: () => {}, getSingleMetric: () => {} }
  t.equal(checks.having('registry', registry, ['registerMetric']), registry)
  t.equal(checks.having('registry', undefined as MetricsRegistry | undefined, ['registerMetric']), undefined)
  t.doesNotThrow(() => checks.onlyKnown('', { max: 1 }, ['max', 'min']))
})

const refused: readonly [title: string, call: () => unknown, message: string][] = [
  [
    'a fraction as a count',
    () => checks.count('max', 1.5),
    'max must be a whole number of at least 1, received 1.5',
  ],
  [
    'a count below its least',
    () => checks.count('max', 0),
    'max must be a whole number of at least 1, received 0',
  ],
  [
    'a count above its most',
    () => checks.count('max', 9, 1, 8),
    'max must be a whole number from 1 to 8, received 9',
  ],
  [
    'a text as a count',
    () => checks.count('max', '7'),
    'max must be a whole number of at least 1, received "7"',
  ],
  [
    'NaN as a number',
    () => checks.number('share', Number.NaN, 0, 1),
    'share must be a number from 0 to 1, received NaN',
  ],
  [
    'a text as a number',
    () => checks.number('share', '1', 0, 1),
    'share must be a number from 0 to 1, received "1"',
  ],
  [
    'Infinity as a number, whatever its most',
    () => checks.number('share', Number.POSITIVE_INFINITY, 0, Number.POSITIVE_INFINITY),
    'share must be a number of at least 0, received Infinity',
  ],
  [
    'NaN as an open number',
    () => checks.numberOrInfinity('times', Number.NaN, 1),
    'times must be a number of at least 1, or Infinity, received NaN',
  ],
  [
    'an open number below its least',
    () => checks.numberOrInfinity('times', 0.5, 1, 8),
    'times must be a number from 1 to 8, or Infinity, received 0.5',
  ],
  [
    'a negative duration',
    () => checks.duration('waitMs', -1),
    `waitMs must be milliseconds from 0 to ${LONGEST_TIMER_MS}, received -1`,
  ],
  [
    'a duration no timer can hold',
    () => checks.duration('waitMs', LONGEST_TIMER_MS + 1),
    `waitMs must be milliseconds from 0 to ${LONGEST_TIMER_MS}, received ${LONGEST_TIMER_MS + 1}`,
  ],
  [
    'Infinity where a limit is needed',
    () => checks.duration('waitMs', Number.POSITIVE_INFINITY),
    `waitMs must be milliseconds from 0 to ${LONGEST_TIMER_MS}, received Infinity`,
  ],
  [
    'a text as a duration',
    () => checks.duration('waitMs', '5s'),
    `waitMs must be milliseconds from 0 to ${LONGEST_TIMER_MS}, received "5s"`,
  ],
  [
    'NaN as an open duration',
    () => checks.durationOrInfinity('waitMs', Number.NaN, 1),
    `waitMs must be milliseconds from 1 to ${LONGEST_TIMER_MS}, or Infinity, received NaN`,
  ],
  ['a word as a flag', () => checks.flag('on', 'yes'), 'on must be true or false, received "yes"'],
  ['an empty text', () => checks.text('name', ''), 'name must be a text of 1 to 255 characters, received ""'],
  [
    'a text that is too long, cut for the message',
    () => checks.text('name', 'x'.repeat(300)),
    `name must be a text of 1 to 255 characters, received "${'x'.repeat(100)}..."`,
  ],
  [
    'a number as a text',
    () => checks.text('name', 5),
    'name must be a text of 1 to 255 characters, received 5',
  ],
  [
    'a word that is not in the list',
    () => checks.oneOf('order', 'random', ['fifo', 'lifo']),
    `order must be 'fifo' or 'lifo', received "random"`,
  ],
  ['an array as an object', () => checks.object('part', []), 'part must be an object, received an array'],
  ['null as an object', () => checks.object('part', null), 'part must be an object, received null'],
  [
    'an object as a function',
    () => checks.callable('load', {}),
    'load must be a function, received an object',
  ],
  ['a text as a function', () => checks.synchronous('load', 'x'), 'load must be a function, received "x"'],
  [
    'an async function where an answer is needed at once',
    () => checks.synchronous('load', async () => {}),
    'load must be a function that is not async, received a function',
  ],
  [
    'a function as a count',
    () => checks.count('max', () => 1),
    'max must be a whole number of at least 1, received a function',
  ],
  [
    'an object without the methods',
    () => checks.having('clock', { nowMs: 1 }, ['nowMs']),
    'clock must be an object with nowMs, received an object',
  ],
  [
    'null instead of an object with methods',
    () => checks.having('clock', null as unknown as { nowMs(): void }, ['nowMs']),
    'clock must be an object with nowMs, received null',
  ],
  [
    'an unknown name',
    () => checks.onlyKnown('part.', { mx: 1 }, ['max', 'min']),
    'part.mx must be left out (accepted: max, min), received 1',
  ],
]

for (const [title, call, message] of refused) {
  t.test(`refuses ${title}`, async (t) => {
    t.throws(call, new RangeError(message))
  })
}
