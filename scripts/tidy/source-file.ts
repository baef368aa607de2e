import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import {
  type Comment,
  type ParseResult,
  type Program,
  parseSync,
  Visitor,
  type VisitorObject,
} from 'oxc-parser'

/** An import, an export from elsewhere, an `import()` or a `declare module`. */
export interface Import {
  readonly specifier: string
  /** The exported names taken from it; empty for a namespace, a side effect or `import()`. */
  readonly names: readonly string[]
  readonly typeOnly: boolean
  readonly line: number
}

/** A TypeScript file, parsed when first asked for. */
export class SourceFile {
  /** Relative to the root of the workspace. */
  readonly path: string
  readonly text: string
  #parsed: ParseResult | undefined
  #imports: readonly Import[] | undefined

  constructor(root: string, path: string) {
    this.path = path
    this.text = readFileSync(join(root, path), 'utf8')
  }

  get name(): string {
    return basename(this.path)
  }

  /** The name without `.ts`, `.test.ts`, `.faults.ts`. */
  get stem(): string {
    return this.name.replace(/(\.test|\.faults)?\.ts$/, '')
  }

  get program(): Program {
    return this.#result().program
  }

  get comments(): readonly Comment[] {
    return this.#result().comments
  }

  get imports(): readonly Import[] {
    this.#imports ??= this.#readImports()
    return this.#imports
  }

  visit(visitor: VisitorObject): void {
    new Visitor(visitor).visit(this.program)
  }

  /** `path:line` of an offset in the text. */
  at(offset: number): string {
    return `${this.path}:${this.lineOf(offset)}`
  }

  lineOf(offset: number): number {
    return this.text.slice(0, offset).split('\n').length
  }

  #result(): ParseResult {
    if (this.#parsed === undefined) {
      const parsed = parseSync(this.path, this.text)
      const error = parsed.errors[0]
      if (error !== undefined) throw new Error(`${this.path} cannot be parsed: ${error.message}`)
      this.#parsed = parsed
    }
    return this.#parsed
  }

  #readImports(): readonly Import[] {
    const found: Import[] = []
    const add = (specifier: string, offset: number, typeOnly: boolean, names: readonly string[] = []) => {
      found.push({ specifier, names, typeOnly, line: this.lineOf(offset) })
    }
    this.visit({
      ImportDeclaration: (node) => {
        const names = node.specifiers.map((specifier) =>
          specifier.type === 'ImportSpecifier' && specifier.imported.type === 'Identifier'
            ? specifier.imported.name
            : specifier.local.name,
        )
        const allTypes =
          node.specifiers.length > 0 &&
          node.specifiers.every((each) => each.type === 'ImportSpecifier' && each.importKind === 'type')
        add(node.source.value, node.start, node.importKind === 'type' || allTypes, names)
      },
      ExportNamedDeclaration: (node) => {
        if (node.source !== null) add(node.source.value, node.start, node.exportKind === 'type')
      },
      ExportAllDeclaration: (node) => add(node.source.value, node.start, node.exportKind === 'type'),
      ImportExpression: (node) => {
        if (node.source.type === 'Literal' && typeof node.source.value === 'string') {
          add(node.source.value, node.start, false)
        }
      },
      TSImportType: (node) => add(node.source.value, node.start, true),
      TSModuleDeclaration: (node) => {
        if (node.id.type === 'Literal') add(node.id.value, node.start, true)
      },
    })
    return found
  }
}
