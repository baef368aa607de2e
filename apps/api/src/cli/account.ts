// pnpm --filter @holdfast/api account make-admin <tenant> <e-mail>

import { text } from 'node:stream/consumers'
import { systemClock } from '@holdfast/footing'
import { guardedDialect } from '@holdfast/pool-guard/kysely'
import { Kysely } from 'kysely'
import { enterCommand } from '../audit/command-line-entry.ts'
import type { Database } from '../db/database.ts'
import { AccountRepository } from '../routes/auth/account-repository.ts'
import { HashingQueue } from '../routes/auth/hashing-queue.ts'
import { weakness } from '../routes/auth/password-rules.ts'
import { Passwords } from '../routes/auth/passwords.ts'
import { CommandError, runCommand, UsageError } from './command.ts'

const USAGE = `usage: pnpm --filter @holdfast/api account make-admin <tenant> <e-mail> < password
The password is the first line of the standard input, so that no list of processes and no history of a shell has it.
Makes a new account, or makes an administrator of one that exists: then its password changes and its tokens end.`

const EMAIL = /^[^@\s]{1,64}@[^@\s]{1,190}$/

await runCommand(USAGE, async ({ pool, print }, [action, tenant, address, ...rest]) => {
  if (action !== 'make-admin' || tenant === undefined || address === undefined || rest.length > 0) {
    throw new UsageError(action === undefined ? 'say what to do' : `cannot do: ${action}`)
  }
  const email = address.normalize('NFC').toLowerCase()
  if (!EMAIL.test(email)) throw new CommandError(`${address} is no e-mail address`)
  const [password = ''] = (await text(process.stdin)).split(/\r?\n/, 1)
  const wrong = weakness(password, [tenant, email, email.split('@')[0] ?? ''])
  if (wrong !== undefined) throw new CommandError(wrong)
  const passwords = new Passwords(new HashingQueue({ concurrency: 1, maxWaiting: 0, clock: systemClock }))
  const passwordHash = await passwords.hash(password)
  const db = new Kysely<Database>({ dialect: guardedDialect(pool) })
  // Both or neither: nobody becomes an administrator without a trace.
  const made = await db.transaction().execute(async (trx) => {
    const before = await trx
      .selectFrom('users')
      .innerJoin('tenants', 'tenants.id', 'users.tenant_id')
      .where('tenants.slug', '=', tenant)
      .where('users.email', '=', email)
      .select(['users.role', 'users.status'])
      .executeTakeFirst()
    const user = await new AccountRepository(trx).makeAdministrator({ tenant, email }, passwordHash)
    if (user === undefined) return undefined
    await enterCommand(trx, {
      tenant,
      action: 'account.make-admin',
      subject: `user ${user.id}`,
      before,
      after: { role: user.role, status: 'active' },
    })
    return user
  })
  if (made === undefined) throw new CommandError(`there is no active tenant ${tenant}`)
  print(`${made.email} of ${made.tenant} is an administrator now (user ${made.id})`)
})
