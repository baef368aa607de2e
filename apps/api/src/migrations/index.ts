import { tenantsAndThemes } from './0001-tenants-and-themes.ts'
import { themeHistory } from './0002-theme-history.ts'
import { usersAndBots } from './0003-users-and-bots.ts'
import { signIn } from './0004-sign-in.ts'
import { maintenance } from './0005-maintenance.ts'
import { betsAndMoney } from './0006-bets-and-money.ts'
import { botsThatTrade } from './0007-bots-that-trade.ts'
import { notificationsAndAudit } from './0008-notifications-and-audit.ts'
import { jobs } from './0009-jobs.ts'
import { whyBotsHold } from './0010-why-bots-hold.ts'
import type { Migration } from './migration.ts'

/** Every migration of the service, in order. */
export const migrations: readonly Migration[] = [
  tenantsAndThemes,
  themeHistory,
  usersAndBots,
  signIn,
  maintenance,
  betsAndMoney,
  botsThatTrade,
  notificationsAndAudit,
  jobs,
  whyBotsHold,
]
