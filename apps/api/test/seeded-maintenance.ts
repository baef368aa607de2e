// Mistakes of broken glass: maintenance by a setting or a file.

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Change, Mistake, StartCases } from './seeded-mistakes.ts'

/** All of them. */
export function maintenanceMistakes({ set, mistake, inDirectory }: StartCases): readonly Mistake[] {
  /** A file in a folder of its own; `mode` undefined: there is none. */
  const glass = (folder: string, folderMode: number, mode?: number, text = 'on'): Change => {
    const path = inDirectory(`${folder}/maintenance`)
    return {
      environment: { MAINTENANCE_FILE: path },
      before: () => {
        mkdirSync(dirname(path), { recursive: true })
        chmodSync(dirname(path), folderMode)
        if (mode === undefined) return
        writeFileSync(path, text)
        chmodSync(path, mode)
      },
    }
  }
  return [
    set(
      'maintenance-forced',
      'warn',
      'an emergency that nobody has ended',
      { MAINTENANCE_FORCE: 'on' },
      { MAINTENANCE_FORCE: '' },
      /MAINTENANCE_FORCE is on: this instance is in maintenance.*-> Unset MAINTENANCE_FORCE when/,
    ),
    set(
      'maintenance-forced',
      'warn',
      'one that was to stay open',
      { MAINTENANCE_FORCE: 'off' },
      { MAINTENANCE_FORCE: '' },
      /MAINTENANCE_FORCE is off: this instance stays open, whatever operators close -> Unset/,
    ),
    mistake(
      'maintenance-forced',
      'warn',
      'a file that nobody has taken away',
      glass('forgotten', 0o755, 0o644),
      glass('ready', 0o755),
      /forgotten\/maintenance is there.*-> rm .*forgotten\/maintenance when/,
    ),
    mistake(
      'maintenance-file-unusable',
      'warn',
      'a folder that there is not',
      { environment: { MAINTENANCE_FILE: inDirectory('no/such/folder') } },
      glass('ready', 0o755),
      /there is no .*no\/such: nobody can put it there in an emergency -> mkdir -p .*no\/such, or/,
    ),
    mistake(
      'maintenance-file-unusable',
      'warn',
      'a folder in its place',
      {
        environment: { MAINTENANCE_FILE: inDirectory('logs') },
        before: () => mkdirSync(inDirectory('logs'), { recursive: true }),
      },
      glass('ready', 0o755),
      /which is no file: what it should say changes nothing -> Name a file/,
    ),
    mistake(
      'maintenance-file-open',
      'warn',
      'a folder in which everybody may put it',
      glass('everybody', 0o1777),
      glass('everybody', 0o1755),
      /everybody on the machine and its group \(\d+\) may write to .*everybody \(the folder of MAINTENANCE_FILE, mode 1777\), and so close or open this instance -> Set MAINTENANCE_FILE to a file in a folder/,
    ),
    mistake(
      'maintenance-file-open',
      'warn',
      'a folder in which its group may put it',
      glass('group', 0o775),
      glass('group', 0o755),
      /: its group \(\d+\) may write to .*group \(the folder of MAINTENANCE_FILE, mode 0775\)/,
    ),
  ]
}
