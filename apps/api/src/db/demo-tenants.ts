import { randomBytes, randomUUID } from 'node:crypto'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '@holdfast/footing'
import type { PoolGuard, Transaction } from '@holdfast/pool-guard'
import { HashingQueue } from '../routes/auth/hashing-queue.ts'
import { Passwords } from '../routes/auth/passwords.ts'
import type { ThemeDocument } from '../routes/public-theme/theme.ts'
import { inLockedTransaction } from './migrator.ts'

/** In the data directory: `[{ tenant, email, password, role }]`, for its owner alone. */
export const DEMO_CREDENTIALS_FILE = 'demo-credentials.json'

interface DemoTenant {
  readonly slug: string
  readonly name: string
  readonly theme: ThemeDocument
}

/** The one that the documentation shows. */
export const ACME_THEME: ThemeDocument = {
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
}

const DEMO_TENANTS: readonly DemoTenant[] = [
  {
    slug: 'acme',
    name: 'Acme Markets',
    theme: ACME_THEME,
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
  { name: 'trader', role: 'user', bots: ['Steady', 'Momentum'], signsIn: true },
  { name: 'second-trader', role: 'user', bots: ['Night shift'], signsIn: false },
  { name: 'operator', role: 'operator', bots: [], signsIn: true },
] as const

const DEMO_ADMIN = { slug: 'acme', email: 'admin@acme.example' }

/**
 * Puts the demo tenants, their users and bots into a database that has no tenant yet; answers whether it did. Any
 * number of processes may call it at once. The passwords are written into the directory and nowhere else; without one
 * nobody has a password.
 */
export async function seedDemoTenants(pool: PoolGuard, dataDirectory?: string): Promise<boolean> {
  return inLockedTransaction(pool, async (tx) => {
    const { rowCount } = await tx.query('select from tenants limit 1')
    if (rowCount !== 0) return false
    const accounts = dataDirectory === undefined ? [] : await makeAccounts(dataDirectory)
    const hashOf = (email: string) => accounts.find((account) => account.email === email)?.hash
    for (const { slug, name, theme } of DEMO_TENANTS) {
      await tx.query('insert into tenants (slug, name) values ($1, $2)', [slug, name])
      await tx.query('insert into themes (slug, theme) values ($1, $2)', [slug, JSON.stringify(theme)])
      for (const { name, role, bots } of DEMO_USERS) {
        const email = `${name}@${slug}.example`
        const userId = await addUser(tx, slug, email, role, hashOf(email))
        for (const bot of bots)
          await tx.query('insert into bots (user_id, name) values ($1, $2)', [userId, bot])
      }
    }
    const { slug, email } = DEMO_ADMIN
    await addUser(tx, slug, email, 'admin', hashOf(email))
    return true
  })
}

interface DemoAccount {
  readonly tenant: string
  readonly email: string
  readonly password: string
  readonly role: 'user' | 'operator' | 'admin'
}

/** Before the commit, so that there is no account whose password nobody knows. */
async function makeAccounts(dataDirectory: string): Promise<{ email: string; hash: string }[]> {
  const accounts: DemoAccount[] = [
    ...DEMO_TENANTS.flatMap(({ slug }) =>
      DEMO_USERS.filter(({ signsIn }) => signsIn).map(({ name, role }) => ({
        tenant: slug,
        email: `${name}@${slug}.example`,
        password: newPassword(),
        role,
      })),
    ),
    { tenant: DEMO_ADMIN.slug, email: DEMO_ADMIN.email, password: newPassword(), role: 'admin' },
  ]
  writePrivate(join(dataDirectory, DEMO_CREDENTIALS_FILE), `${JSON.stringify(accounts, null, 2)}\n`)
  const passwords = new Passwords(new HashingQueue({ concurrency: 2, maxWaiting: 100, clock: systemClock }))
  return Promise.all(
    accounts.map(async ({ email, password }) => ({ email, hash: await passwords.hash(password) })),
  )
}

/** 120 bits. */
function newPassword(): string {
  return randomBytes(15).toString('base64url')
}

/** Whole or not at all, and for nobody else to read, also where another one was. */
function writePrivate(path: string, content: string): void {
  const temporary = `${path}.${randomUUID()}`
  writeFileSync(temporary, content, { mode: 0o600, flag: 'wx' })
  renameSync(temporary, path)
}

async function addUser(
  tx: Transaction,
  slug: string,
  email: string,
  role: DemoAccount['role'],
  passwordHash: string | undefined,
): Promise<string | undefined> {
  const { rows } = await tx.query<{ id: string }>(
    `insert into users (tenant_id, email, role, password_hash)
     select id, $2, $3, $4 from tenants where slug = $1 returning id`,
    [slug, email, role, passwordHash ?? null],
  )
  return rows[0]?.id
}
