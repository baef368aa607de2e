// The text that an environment has for a setting: its own variable, its alias, or the file that holds a secret.

import { readFileSync, statSync } from 'node:fs'
import type { ConfigProblem } from './config-error.ts'
import type { Setting } from './setting.ts'

/** The variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>

const MAX_SECRET_FILE_BYTES = 65_536

/** What a variable says; an empty one says nothing. */
export function given(environment: Environment, name: string): string | undefined {
  const value = environment[name]
  return value === undefined || value === '' ? undefined : value
}

/** The value of a setting; undefined where there is none, or it is wrong, which is added to the problems. */
export function readSetting(
  row: Setting<unknown>,
  environment: Environment,
  problems: ConfigProblem[],
): unknown {
  const name = nameInUse(row, environment, problems)
  const source = row.secret ? readSecret(name, environment, problems) : given(environment, name)
  const value = source ?? row.defaultText
  if (value === undefined) return undefined
  const parsed = row.parse(value)
  if ('value' in parsed) return parsed.value
  const shown = row.secret ? '' : `is ${JSON.stringify(value.slice(0, 80))}, which `
  problems.push({ name, wrong: `${shown}${parsed.wrong}`, fix: parsed.fix })
  return undefined
}

/** The setting's own name, unless only its alias is set. */
function nameInUse(
  { name, alias }: Setting<unknown>,
  environment: Environment,
  problems: ConfigProblem[],
): string {
  if (alias === undefined || given(environment, alias) === undefined) return name
  if (given(environment, name) === undefined) return alias
  problems.push({ name, wrong: `and its alias ${alias} are both set`, fix: 'Keep one of them.' })
  return name
}

function readSecret(name: string, environment: Environment, problems: ConfigProblem[]): string | undefined {
  const fileVariable = `${name}_FILE`
  const direct = given(environment, name)
  const file = given(environment, fileVariable)
  if (file === undefined) return direct
  if (direct !== undefined) {
    problems.push({ name, wrong: `and ${fileVariable} are both set`, fix: 'Keep one of them.' })
    return undefined
  }
  try {
    const sizeBytes = statSync(file).size
    if (sizeBytes > MAX_SECRET_FILE_BYTES) {
      problems.push({
        name: fileVariable,
        wrong: `names a file of ${sizeBytes} bytes`,
        fix: `A secret has at most ${MAX_SECRET_FILE_BYTES} bytes.`,
      })
      return undefined
    }
    const content = readFileSync(file, 'utf8').replace(/\r?\n$/, '')
    if (content !== '') return content
    problems.push({
      name: fileVariable,
      wrong: `names ${JSON.stringify(file)}, which is empty`,
      fix: 'Write the secret into it.',
    })
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    problems.push({
      name: fileVariable,
      wrong: `names ${JSON.stringify(file)}, which cannot be read (${reason})`,
      fix: 'Check the path and its permissions.',
    })
  }
  return undefined
}
