import type { ObjectExpression } from 'oxc-parser'
import { bare, blocksOf, tableRows } from './readme-block.ts'
import type { Finding, Rule } from './rule.ts'
import type { SourceFile } from './source-file.ts'
import { staticText, textConstants } from './static-text.ts'
import type { Member, Workspace } from './workspace.ts'

interface Metric {
  readonly name: string
  readonly place: string
}

/** Every metric of `metrics.ts` is in the README's table and in a test; and every row of the table exists. */
export const metricNames: Rule = {
  name: 'metric-names',
  check: (workspace) =>
    workspace.members
      .filter((member) => member.kind === 'package')
      .flatMap((member) => checkMember(member, workspace)),
}

function checkMember(member: Member, workspace: Workspace): readonly Finding[] {
  const file = member.sources.find((source) => source.name === 'metrics.ts')
  const readmePath = `${member.folder}/README.md`
  const documented = blocksOf(workspace.read(readmePath) ?? '', 'metrics').flatMap((block) =>
    tableRows(block.content).map((row) => bare(row[0])),
  )
  const metrics = file === undefined ? [] : metricsIn(file)
  const tests = member.tests.map((test) => test.text)
  const names = new Set(metrics.map(({ name }) => name))
  return [
    ...metrics
      .filter(({ name }) => !documented.includes(name))
      .map(({ name, place }) => ({ place, message: `${name} is not in the metrics table of the README` })),
    ...metrics
      .filter(({ name }) => !tests.some((text) => text.includes(name)))
      .map(({ name, place }) => ({ place, message: `${name} is in no test` })),
    ...documented
      .filter((name) => !names.has(name))
      .map((name) => ({ place: readmePath, message: `${name} is documented and does not exist` })),
  ]
}

/** Objects with a `name` and a `help`, which is how prom-client describes a metric, made by hand or by a loop. */
function metricsIn(file: SourceFile): readonly Metric[] {
  const constants = textConstants(file)
  const metrics: Metric[] = []
  file.visit({
    ObjectExpression: (node) => {
      const name = propertyText(node, 'name', constants)
      if (name !== undefined && has(node, 'help')) metrics.push({ name, place: file.at(node.start) })
    },
    CallExpression: (node) => {
      // gauge('holdfast_x', 'help', …): the first two arguments of a local maker.
      const [first, second] = node.arguments
      if (first === undefined || second === undefined) return
      if (first.type === 'SpreadElement' || second.type === 'SpreadElement') return
      const name = staticText(first, constants)
      if (
        name !== undefined &&
        /^holdfast_[a-z0-9_]+$/.test(name) &&
        staticText(second, constants) !== undefined
      ) {
        metrics.push({ name, place: file.at(node.start) })
      }
    },
  })
  return metrics
}

const keyOf = (property: ObjectExpression['properties'][number]): string | undefined =>
  property.type === 'Property' && property.key.type === 'Identifier' && !property.computed
    ? property.key.name
    : undefined

const has = (node: ObjectExpression, key: string) =>
  node.properties.some((property) => keyOf(property) === key)

function propertyText(
  node: ObjectExpression,
  key: string,
  constants: ReadonlyMap<string, string>,
): string | undefined {
  for (const property of node.properties) {
    if (property.type === 'Property' && keyOf(property) === key) return staticText(property.value, constants)
  }
  return undefined
}
