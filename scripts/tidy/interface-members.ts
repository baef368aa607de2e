import type { TSInterfaceDeclaration, TSSignature, TSType } from 'oxc-parser'
import type { SourceFile } from './source-file.ts'

/** A property of an interface, in the order of its declaration. */
export interface Property {
  readonly name: string
  /** The properties of an inline `{ … }`, or of the interface of this package it refers to; else empty. */
  readonly children: readonly string[]
  /** The interface of this package that its type refers to. */
  readonly refersTo: string | undefined
  readonly inline: boolean
}

/** The interfaces of a package by name, inherited properties included when the parent is of the package too. */
export class InterfaceReader {
  readonly #declarations = new Map<string, TSInterfaceDeclaration>()

  constructor(files: readonly SourceFile[]) {
    for (const file of files) {
      file.visit({ TSInterfaceDeclaration: (node) => void this.#declarations.set(node.id.name, node) })
    }
  }

  has(name: string): boolean {
    return this.#declarations.has(name)
  }

  properties(name: string): readonly Property[] {
    const declaration = this.#declarations.get(name)
    if (declaration === undefined) return []
    const inherited = declaration.extends.flatMap(({ expression }) =>
      expression.type === 'Identifier' ? this.properties(expression.name) : [],
    )
    return [...inherited, ...this.#properties(declaration.body.body)]
  }

  #properties(members: readonly TSSignature[]): readonly Property[] {
    return members.flatMap((member): readonly Property[] => {
      if (member.type !== 'TSPropertySignature' && member.type !== 'TSMethodSignature') return []
      const { key } = member
      const name =
        key.type === 'Identifier' ? key.name : key.type === 'Literal' ? String(key.value) : undefined
      if (name === undefined) return []
      const type = member.type === 'TSPropertySignature' ? member.typeAnnotation?.typeAnnotation : undefined
      return [{ name, ...this.#nested(type) }]
    })
  }

  #nested(type: TSType | undefined): Omit<Property, 'name'> {
    for (const part of type?.type === 'TSUnionType' ? type.types : type === undefined ? [] : [type]) {
      if (part.type === 'TSTypeLiteral') {
        const children = this.#properties(part.members).map((property) => property.name)
        return { children, refersTo: undefined, inline: true }
      }
      const refersTo =
        part.type === 'TSTypeReference' && part.typeName.type === 'Identifier'
          ? part.typeName.name
          : undefined
      if (refersTo !== undefined && this.has(refersTo)) {
        const children = this.properties(refersTo).map((property) => property.name)
        return { children, refersTo, inline: false }
      }
    }
    return { children: [], refersTo: undefined, inline: false }
  }
}
