import type { ArrayExpressionElement, Expression, ObjectExpression } from 'oxc-parser'
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

/**
 * A metric is an object with a `name` and a `help`, as prom-client takes it, or a name followed by its help in a
 * list or in the arguments of a call, as one writes it for a loop or a maker.
 */
function metricsIn(file: SourceFile): readonly Metric[] {
  const constants = textConstants(file)
  const metrics: Metric[] = []
  const add = (name: string | undefined, help: string | undefined, offset: number) => {
    if (name === undefined || help === undefined) return
    if (/^[a-z][a-z0-9]*(_[a-z0-9]+)+$/.test(name) && help.includes(' ')) {
      metrics.push({ name, place: file.at(offset) })
    }
  }
  const text = (node: ArrayExpressionElement | undefined) =>
    node === undefined || node === null || node.type === 'SpreadElement'
      ? undefined
      : staticText(node, constants)
  file.visit({
    ArrayExpression: ({ elements, start }) => add(text(elements[0]), text(elements[1]), start),
    CallExpression: (node) => add(text(node.arguments[0]), text(node.arguments[1]), node.start),
    ObjectExpression: (node) =>
      add(text(propertyValue(node, 'name')), text(propertyValue(node, 'help')), node.start),
  })
  return metrics
}

function propertyValue({ properties }: ObjectExpression, key: string): Expression | undefined {
  for (const property of properties) {
    if (property.type !== 'Property' || property.computed || property.key.type !== 'Identifier') continue
    if (property.key.name === key) return property.value
  }
  return undefined
}
