import type { MemberExpression } from 'oxc-parser'
import type { Rule } from './rule.ts'

/** The environment is read in one place, where it is validated: `config.ts`. */
export const environment: Rule = {
  name: 'environment',
  check: ({ members }) =>
    members.flatMap((member) =>
      member.sources
        .filter((file) => file.name !== 'config.ts')
        .flatMap((file) => {
          const findings: { place: string; message: string }[] = []
          const refuse = (place: string) =>
            findings.push({ place, message: 'reads the environment; only config.ts may, and hands it on' })
          for (const { specifier, names, line } of file.imports) {
            if (/^(node:)?process$/.test(specifier) && names.includes('env')) refuse(`${file.path}:${line}`)
          }
          file.visit({
            MemberExpression: (node) => {
              const isProcess = node.object.type === 'Identifier' && node.object.name === 'process'
              if (isProcess && nameOf(node) === 'env') refuse(file.at(node.start))
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
