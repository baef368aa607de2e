import t from 'tap'
import { type BannerInput, bannerAt, readBanner, readKeptBanner } from '../src/banner.ts'
import { type RuleInput, readRule } from '../src/rule.ts'

const FROM = Date.UTC(2026, 10, 22, 20)
const MINUTE = 60_000

function shown(banner: BannerInput | undefined, rules: readonly RuleInput[], wallMs = FROM) {
  return bannerAt(banner && readBanner(banner), rules.map(readRule), wallMs)
}

t.test('a banner is shown within its window, whatever rules say', async (t) => {
  const banner = {
    message: 'Odds are late today.',
    severity: 'critical',
    from: FROM,
    until: FROM + MINUTE,
  } as const
  t.equal(shown(banner, [], FROM - 1), undefined)
  t.match(shown(banner, [{ message: 'closed' }], FROM), {
    message: 'Odds are late today.',
    severity: 'critical',
    origin: 'banner',
  })
  t.equal(shown(banner, [], FROM + MINUTE), undefined)
  t.match(shown({ message: 'for ever' }, []), { severity: 'info', origin: 'banner' })
})

t.test('a rule announces itself a quarter of an hour before, and says so while it holds', async (t) => {
  const rule = { from: FROM, until: FROM + 60 * MINUTE, message: 'We move.' }
  t.equal(shown(undefined, [rule], FROM - 15 * MINUTE - 1), undefined)
  t.match(shown(undefined, [rule], FROM - 15 * MINUTE), {
    message: 'Maintenance begins at 2026-11-22 20:00 UTC. We move.',
    severity: 'warning',
    origin: 'announcement',
    fromMs: FROM,
  })
  t.match(shown(undefined, [rule], FROM), { message: 'We move.', severity: 'warning', origin: 'maintenance' })
  t.equal(shown(undefined, [rule], FROM + 60 * MINUTE), undefined)
  t.equal(
    shown(undefined, [{ from: FROM }], FROM - 1)?.message,
    'Maintenance begins at 2026-11-22 20:00 UTC.',
    'also without a message',
  )
  t.equal(shown(undefined, [{ from: FROM, announceMs: 0 }], FROM - 1), undefined)
})

t.test('the first to begin announces itself, and of those that hold the last to end', async (t) => {
  const rules = [
    { id: 'b', from: FROM + 10 * MINUTE, message: 'b' },
    { id: 'a', from: FROM + 5 * MINUTE, message: 'a' },
  ]
  t.match(shown(undefined, rules)?.message, / a$/)
  const holding = [
    { id: 'a', until: FROM + MINUTE, message: 'short' },
    { id: 'b', message: 'for ever' },
    { id: 'c', mode: 'banner-only', until: FROM + MINUTE, message: 'shown' } as const,
  ]
  t.equal(shown(undefined, holding)?.message, 'for ever')
  t.match(shown(undefined, holding.slice(2)), { message: 'shown', severity: 'info' })
})

t.test('what concerns one tenant is told to nobody else', async (t) => {
  t.equal(shown(undefined, [{ scope: { tenant: 'acme' }, message: 'You have not paid.' }]), undefined)
})

t.test('a banner is read again as it is, and a wrong one refused', async (t) => {
  const banner = readBanner({ message: 'x', severity: 'warning', from: 1000, until: 2000 })
  t.same(readKeptBanner(JSON.parse(JSON.stringify(banner))), banner)
  t.same(readKeptBanner(readBanner({ message: 'x' })), { message: 'x', severity: 'info' })
  const code = 'HOLDFAST_ERR_MAINTENANCE_RULE'
  for (const [given, message] of [
    [{ message: '' }, /"message" must be a text/],
    [
      { message: 'x', severity: 'loud' },
      /"severity" must be 'info' or 'warning' or 'critical', received "loud"/,
    ],
    [{ message: 'x', from: 2000, until: 1000 }, /"until" must be later than "from"/],
    [{ message: 'x', colour: 'red' }, /"colour" must be left out/],
    [undefined, /"banner" must be an object/],
  ] as const) {
    t.throws(() => readBanner(given as BannerInput), { code, message })
  }
})
