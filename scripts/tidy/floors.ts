import type { Finding, Rule } from './rule.ts'
import type { Member, Workspace } from './workspace.ts'

/** A floor of the house, and who lives there. The file lists them from the top down. */
export interface Floor {
  readonly floor: string
  readonly members: readonly string[]
}

export const floorsFile = 'scripts/tidy/floors.json'

/** Tests of every floor stand on it; of the sources only the apps may (the API starts its own PostgreSQL). */
const testKit = 'test-kit'

/** Arrows point down only: a member may use what lives on a lower floor, and nothing on its own. */
export const floors: Rule = {
  name: 'floors',
  check(workspace) {
    const heights = heightsOf(JSON.parse(workspace.read(floorsFile) ?? '[]'))
    return workspace.members
      .filter((member) => member.name !== testKit)
      .flatMap((member) => {
        const height = heights.get(member.name)
        if (height === undefined) {
          return [
            { place: `${member.folder}/package.json`, message: `has no floor; give it one in ${floorsFile}` },
          ]
        }
        return usesOf(member)
          .filter(({ name, fromSource }) => !isAllowed(name, fromSource, member, height, heights))
          .map(({ name, place }) => ({
            place,
            message: `uses @holdfast/${name}, which is not on a lower floor`,
          }))
      })
      .concat(unknownUses(workspace))
  },
}

function heightsOf(listed: readonly Floor[]): ReadonlyMap<string, number> {
  return new Map(
    listed.flatMap(({ members }, index) =>
      members.map((name): [string, number] => [name, listed.length - index]),
    ),
  )
}

interface Use {
  readonly name: string
  readonly place: string
  readonly fromSource: boolean
}

function usesOf(member: Member): readonly Use[] {
  const manifest = `${member.folder}/package.json`
  const listed = (names: Readonly<Record<string, string>> | undefined, fromSource: boolean): readonly Use[] =>
    Object.keys(names ?? {}).flatMap((specifier) => use(specifier, manifest, fromSource))
  const imported = (files: Member['sources'], fromSource: boolean) =>
    files.flatMap((file) =>
      file.imports.flatMap(({ specifier, line }) => use(specifier, `${file.path}:${line}`, fromSource)),
    )
  return [
    ...listed(member.manifest.dependencies, true),
    ...listed(member.manifest.peerDependencies, true),
    ...listed(member.manifest.devDependencies, false),
    ...imported(member.sources, true),
    ...imported([...member.tests, ...member.examples], false),
  ].filter(({ name }) => name !== member.name)
}

function use(specifier: string, place: string, fromSource: boolean): readonly Use[] {
  const name = /^@holdfast\/([^/]+)/.exec(specifier)?.[1]
  return name === undefined ? [] : [{ name, place, fromSource }]
}

function isAllowed(
  name: string,
  fromSource: boolean,
  member: Member,
  height: number,
  heights: ReadonlyMap<string, number>,
): boolean {
  if (name === testKit) return member.kind === 'app' || !fromSource
  return (heights.get(name) ?? 0) < height
}

function unknownUses({ members }: Workspace): readonly Finding[] {
  const names = new Set(members.map((member) => member.name))
  return members.flatMap((member) =>
    usesOf(member)
      .filter(({ name }) => !names.has(name))
      .map(({ name, place }) => ({
        place,
        message: `uses @holdfast/${name}, which is not in this repository`,
      })),
  )
}
