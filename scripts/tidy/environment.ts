import type { MemberExpression } from 'oxc-parser'
import type { Rule } from './rule.ts'

/** The test kit may read these two where it needs them; its README documents them. */
const testKitNames = new Set(['HOLDFAST_SEED', 'HOLDFAST_POSTGRES_BIN'])

/** The environment is read in one place, where it is validated: `config.ts`. */
export const environment: Rule = {
  name: 'environment',
  check: ({ members }) =>
    members.flatMap((member) =>
      member.sources
        .filter((file) => file.name !== 'config.ts')
        .flatMap((file) => {
          const findings: { place: string; message: string }[] = []
          const allowed = new Set<number>()
          const refuse = (place: string) =>
            findings.push({ place, message: 'reads the environment; only config.ts may, and hands it on' })
          for (const { specifier, names, line } of file.imports) {
            if (/^(node:)?process$/.test(specifier) && names.includes('env')) refuse(`${file.path}:${line}`)
          }
          file.visit({
            MemberExpression: (node) => {
              const property = nameOf(node)
              if (member.name === 'test-kit' && property !== undefined && testKitNames.has(property)) {
                allowed.add(node.object.start)
              }
              const isEnv =
                property === 'env' && node.object.type === 'Identifier' && node.object.name === 'process'
              if (isEnv && !allowed.has(node.start)) refuse(file.at(node.start))
            },
          })
          return findings
        }),
    ),
}

function nameOf({ computed, property }: MemberExpression): string | undefined {
  if (property.type === 'Identifier' && !computed) return property.name
  return property.type === 'Literal' && typeof property.value === 'string' ? property.value : undefined
}
