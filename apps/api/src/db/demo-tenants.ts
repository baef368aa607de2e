import type { PoolGuard, Transaction } from '@holdfast/pool-guard'
import type { ThemeDocument } from '../routes/public-theme/theme.ts'
import { inLockedTransaction } from './migrator.ts'

interface DemoTenant {
  readonly slug: string
  readonly name: string
  readonly theme: ThemeDocument
}

const DEMO_TENANTS: readonly DemoTenant[] = [
  {
    slug: 'acme',
    name: 'Acme Markets',
    theme: {
      brand_name: 'Acme Markets',
      tagline: 'Sharp odds, steady bots.',
      logo_url: 'https://static.acme.example/brand/logo.svg',
      favicon_url: 'https://static.acme.example/brand/favicon.ico',
      primary_color: '#b3261e',
      secondary_color: '#5f3b38',
      accent_color: '#f2b705',
      background_color: '#fffbf7',
      text_color: '#231a19',
      font_family: 'Inter, system-ui, sans-serif',
      corner_radius_px: 4,
      support_email: 'help@acme.example',
      support_url: 'https://help.acme.example/',
    },
  },
  {
    slug: 'globex',
    name: 'Globex Exchange',
    theme: {
      brand_name: 'Globex Exchange',
      tagline: 'Every market, one calm place.',
      logo_url: 'https://cdn.globex.example/assets/logo.svg',
      favicon_url: 'https://cdn.globex.example/assets/favicon.ico',
      primary_color: '#0b6e4f',
      secondary_color: '#3a5a50',
      accent_color: '#08a4bd',
      background_color: '#f6faf8',
      text_color: '#10231c',
      font_family: 'Source Sans 3, system-ui, sans-serif',
      corner_radius_px: 12,
      support_email: 'support@globex.example',
      support_url: 'https://globex.example/support',
    },
  },
]

/** Of every demo tenant, at `<name>@<slug>.example`. */
const DEMO_USERS = [
  { name: 'trader', role: 'user', bots: ['Steady', 'Momentum'] },
  { name: 'second-trader', role: 'user', bots: ['Night shift'] },
  { name: 'operator', role: 'operator', bots: [] },
] as const

const DEMO_ADMIN = { slug: 'acme', email: 'admin@acme.example' }

/**
 * Puts the demo tenants, their users and bots into a database that has no tenant yet; answers whether it did. Any number of processes
 * may call it at once.
 */
export async function seedDemoTenants(pool: PoolGuard): Promise<boolean> {
  return inLockedTransaction(pool, async (tx) => {
    const { rowCount } = await tx.query('select from tenants limit 1')
    if (rowCount !== 0) return false
    for (const { slug, name, theme } of DEMO_TENANTS) {
      await tx.query('insert into tenants (slug, name) values ($1, $2)', [slug, name])
      await tx.query('insert into themes (slug, theme) values ($1, $2)', [slug, JSON.stringify(theme)])
      for (const { name, role, bots } of DEMO_USERS) {
        const userId = await addUser(tx, slug, `${name}@${slug}.example`, role)
        for (const bot of bots)
          await tx.query('insert into bots (user_id, name) values ($1, $2)', [userId, bot])
      }
    }
    await addUser(tx, DEMO_ADMIN.slug, DEMO_ADMIN.email, 'admin')
    return true
  })
}

async function addUser(
  tx: Transaction,
  slug: string,
  email: string,
  role: 'user' | 'operator' | 'admin',
): Promise<string | undefined> {
  const { rows } = await tx.query<{ id: string }>(
    'insert into users (tenant_id, email, role) select id, $2, $3 from tenants where slug = $1 returning id',
    [slug, email, role],
  )
  return rows[0]?.id
}
