import { existsSync, readdirSync, statSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'

export type Suite = 'test' | 'faults'

/** A folder that holds tests in `test/`, under the name a person types: `singleflight`, `api`, `scripts`. */
interface Place {
  readonly name: string
  readonly folder: string
}

function placesOf(root: string): readonly Place[] {
  const places: Place[] = []
  for (const parent of ['packages', 'apps']) {
    const folder = join(root, parent)
    if (!existsSync(folder)) continue
    for (const name of readdirSync(folder).sort()) places.push({ name, folder: join(folder, name, 'test') })
  }
  return [...places, { name: 'scripts', folder: join(root, 'scripts', 'test') }]
}

function filesUnder(folder: string, suite: Suite): readonly string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => a.name.localeCompare(b.name))
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesUnder(path, suite)
      return entry.name.endsWith(`.${suite}.ts`) ? [path] : []
    })
}

/**
 * The files to run, relative to `root`. Without a selection: all of the suite. A selection is a package
 * (`singleflight`, `@holdfast/singleflight`), a folder or a file; a file runs whatever its suite.
 * Throws when a selection names nothing.
 */
export function selectTestFiles(
  root: string,
  suite: Suite,
  selections: readonly string[],
): readonly string[] {
  const places = placesOf(root)
  const chosen =
    selections.length === 0
      ? places.flatMap((place) => filesUnder(place.folder, suite))
      : selections.flatMap((selection) => filesOf(selection, root, suite, places))
  return [...new Set(chosen.map((file) => relative(root, file)))]
}

function filesOf(selection: string, root: string, suite: Suite, places: readonly Place[]): readonly string[] {
  const name = selection.replace(/^@holdfast\//, '')
  const place = places.find((candidate) => candidate.name === name)
  if (place !== undefined) return filesUnder(place.folder, suite)
  const path = resolve(root, selection)
  if (existsSync(path)) return statSync(path).isDirectory() ? filesUnder(path, suite) : [path]
  const names = places.map((candidate) => candidate.name).join(', ')
  throw new Error(`"${selection}" is neither a file, a folder nor a package (${names})`)
}
