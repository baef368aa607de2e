// pnpm --filter @holdfast/api migrate [up | down | status]

import { migrateDown, migrateUp, migrationStates } from '../db/migrator.ts'
import { migrations } from '../migrations/index.ts'
import { runCommand, UsageError } from './command.ts'

const USAGE = `usage: pnpm --filter @holdfast/api migrate [up | down | status]
  up      applies every pending migration (the default)
  down    takes back the migration that was applied last, with its data
  status  lists the migrations`

await runCommand(USAGE, async ({ pool, print }, [action = 'up', ...rest]) => {
  if (rest.length > 0) throw new UsageError(`unexpected: ${rest.join(' ')}`)
  switch (action) {
    case 'up': {
      const applied = await migrateUp(pool, migrations)
      print(applied.length === 0 ? 'nothing to apply' : applied.map((name) => `applied ${name}`).join('\n'))
      return
    }
    case 'down': {
      const name = await migrateDown(pool, migrations)
      print(name === undefined ? 'nothing to take back' : `took back ${name}`)
      return
    }
    case 'status': {
      const states = await migrationStates(pool, migrations)
      const lines = states.map(({ name, state, appliedAt }) =>
        [state.padEnd(8), name, appliedAt?.toISOString() ?? ''].join('  ').trimEnd(),
      )
      print(lines.join('\n'))
      return
    }
    default:
      throw new UsageError(`unknown action: ${action}`)
  }
})
