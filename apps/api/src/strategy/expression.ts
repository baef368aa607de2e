// A strategy as data: what the parser makes, what is checked, and what is evaluated. Frozen, and of our own making: no
// object of the parser gets further than `parse.ts`.

import type { BinaryOperator, FunctionName, Name, UnaryOperator, ValueType } from './language.ts'

interface Node {
  readonly type: ValueType
}

export interface NumberNode extends Node {
  readonly kind: 'number'
  readonly value: number
}

export interface NameNode extends Node {
  readonly kind: 'name'
  readonly name: Name
}

export interface CallNode extends Node {
  readonly kind: 'call'
  readonly name: FunctionName
  readonly given: readonly Expression[]
}

export interface UnaryNode extends Node {
  readonly kind: 'unary'
  readonly operator: UnaryOperator
  readonly operand: Expression
}

export interface BinaryNode extends Node {
  readonly kind: 'binary'
  readonly operator: BinaryOperator
  readonly left: Expression
  readonly right: Expression
}

export interface ConditionalNode extends Node {
  readonly kind: 'conditional'
  readonly test: Expression
  readonly yes: Expression
  readonly no: Expression
}

export type Expression = NumberNode | NameNode | CallNode | UnaryNode | BinaryNode | ConditionalNode
