import t from 'tap'
import { formatTraceParent, parseTraceParent, passableTraceState } from '../src/trace-parent.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'

t.test('what W3C Trace Context allows is read', async (t) => {
  t.same(parseTraceParent(`00-${TRACE}-${SPAN}-01`), { traceId: TRACE, parentId: SPAN, sampled: true })
  for (const [header, sampled] of [
    [`00-${TRACE}-${SPAN}-00`, false],
    [`00-${TRACE}-${SPAN}-02`, false],
    [`00-${TRACE}-${SPAN}-03`, true],
    [`00-${TRACE}-${SPAN}-ff`, true],
    // Later versions: the four fields that are known.
    [`cc-${TRACE}-${SPAN}-01`, true],
    [`cc-${TRACE}-${SPAN}-01-what-the-future-will-be-like`, true],
    [`fe-${TRACE}-${SPAN}-00-`, false],
  ] as const) {
    t.equal(parseTraceParent(header)?.sampled, sampled, header)
  }
})

t.test('what it does not allow is no trace at all', async (t) => {
  for (const header of [
    '',
    'garbage',
    `ff-${TRACE}-${SPAN}-01`,
    `0-${TRACE}-${SPAN}-01`,
    `000-${TRACE}-${SPAN}-01`,
    `.0-${TRACE}-${SPAN}-01`,
    `0.-${TRACE}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.slice(1)}-${SPAN}-01`,
    `00-${TRACE}a-${SPAN}-01`,
    `00-${TRACE}-${SPAN.slice(1)}-01`,
    `00-${TRACE}-${SPAN}a-01`,
    `00-${TRACE.slice(1)}.-${SPAN}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}-${SPAN.toUpperCase()}-01`,
    `00-${TRACE}-${SPAN}-.0`,
    `00-${TRACE}-${SPAN}-0.`,
    `00-${TRACE}-${SPAN}-0`,
    `00-${TRACE}-${SPAN}-001`,
    `00-${TRACE}-${SPAN}-01-`,
    `00-${TRACE}-${SPAN}-01-more`,
    `cc-${TRACE}-${SPAN}-01.what-the-future`,
    ` 00-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}`,
    `00_${TRACE}_${SPAN}_01`,
    // Two headers, as Node joins them.
    `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`,
    `cc-${TRACE}-${SPAN}-01-x, 00-${TRACE}-${SPAN}-01`,
    `cc-${TRACE}-${SPAN}-01-${'x'.repeat(600)}`,
    undefined,
    7,
    [`00-${TRACE}-${SPAN}-01`],
  ]) {
    t.equal(parseTraceParent(header), undefined, String(header).slice(0, 90))
  }
})

t.test('what is written can be read', async (t) => {
  for (const sampled of [true, false]) {
    t.same(parseTraceParent(formatTraceParent(TRACE, SPAN, sampled)), {
      traceId: TRACE,
      parentId: SPAN,
      sampled,
    })
  }
})

t.test('the state of vendors is passed on as it came, or not at all', async (t) => {
  t.equal(
    passableTraceState('rojo=00f067aa0ba902b7,congo=t61rcWkgMzE'),
    'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE',
  )
  for (const wrong of [undefined, '', 'x'.repeat(513), 'a=b\r\nc: d', 'ä=1'])
    t.equal(passableTraceState(wrong), undefined)
})
