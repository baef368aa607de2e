import type { Expression } from 'oxc-parser'
import type { SourceFile } from './source-file.ts'

/** The top-level `const name = 'text'` of a file, templates over earlier ones included. */
export function textConstants(file: SourceFile): ReadonlyMap<string, string> {
  const constants = new Map<string, string>()
  for (const statement of file.program.body) {
    const declaration = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement
    if (declaration?.type !== 'VariableDeclaration') continue
    for (const { id, init } of declaration.declarations) {
      const value = init === null ? undefined : staticText(init, constants)
      if (id.type === 'Identifier' && value !== undefined) constants.set(id.name, value)
    }
  }
  return constants
}

/** The text an expression stands for, when that can be known without running it. */
export function staticText(node: Expression, constants: ReadonlyMap<string, string>): string | undefined {
  if (node.type === 'Literal') return typeof node.value === 'string' ? node.value : undefined
  if (node.type === 'Identifier') return constants.get(node.name)
  if (node.type === 'TSAsExpression' || node.type === 'TSSatisfiesExpression') {
    return staticText(node.expression, constants)
  }
  if (node.type !== 'TemplateLiteral') return undefined
  let text = ''
  for (const [index, quasi] of node.quasis.entries()) {
    text += quasi.value.cooked ?? ''
    const expression = node.expressions[index]
    if (expression === undefined) continue
    const value = staticText(expression, constants)
    if (value === undefined) return undefined
    text += value
  }
  return text
}
