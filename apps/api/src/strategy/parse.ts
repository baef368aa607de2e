// Makes an expression of a text, or says what is wrong with it and where. The grammar is that of acorn (ECMAScript 5, an
// expression); of what acorn finds only the words of `language.ts` are taken over, by name, into nodes of our own.
//
// Guarantees: what comes out is of these words alone, has types that fit, and costs at most MAX_STEPS. Nothing of the
// text is ever run. Never throws anything but a StrategyError.

import { type Comment, type Node as Parsed, parseExpressionAt } from 'acorn'
import { nearest } from '../nearest.ts'
import type { Expression } from './expression.ts'
import {
  BINARY,
  type BinaryOperator,
  FUNCTIONS,
  type FunctionName,
  MAX_DEPTH,
  MAX_LENGTH,
  MAX_NODES,
  MAX_STEPS,
  MAX_WINDOW,
  NAMES,
  type Name,
  UNARY,
  type UnaryOperator,
  type ValueType,
} from './language.ts'
import { placeOf, StrategyError } from './strategy-error.ts'

/** A strategy that has been checked. */
export interface ParsedStrategy {
  readonly expression: Expression
  /** How many prices it looks at, the present one among them. */
  readonly window: number
  /** Steps that one decision takes at most. */
  readonly steps: number
}

const ALL_NAMES = [...Object.keys(NAMES), ...Object.keys(FUNCTIONS)]
/** Whatever could look like something else: what is not ASCII, and what begins an escape. */
const FOREIGN = /[^\t\n\r -[\]-~]/u
const NUMBER = /^(?:0|[1-9]\d*)?(?:\.\d+)?$/

/** @throws {StrategyError} */
export function parseStrategy(text: string): ParsedStrategy {
  checkText(text)
  const found = parsedBy(text)
  const reader = new Reader(text)
  const expression = reader.read(found, 1)
  reader.expect(expression, 'action', found, 'a strategy ends in an action')
  if (reader.steps > MAX_STEPS) {
    throw reader.error(found, `a decision would take ${reader.steps} steps, and may take ${MAX_STEPS}`)
  }
  return { expression, window: reader.window, steps: reader.steps }
}

function checkText(text: string): void {
  const at = (offset: number) => placeOf(text.slice(0, MAX_LENGTH + 1), offset)
  if (text.trim() === '') throw new StrategyError('a strategy is an expression, such as hold()', at(0))
  if (text.length > MAX_LENGTH) {
    throw new StrategyError(
      `a strategy has at most ${MAX_LENGTH} characters, not ${text.length}`,
      at(MAX_LENGTH),
    )
  }
  const foreign = FOREIGN.exec(text)
  if (foreign !== null) throw new StrategyError(describeForeign(foreign[0]), at(foreign.index))
  // Before the parser, which takes a stack frame for each.
  let depth = 0
  for (let offset = 0; offset < text.length; offset += 1) {
    const character = text[offset] ?? ''
    if ('([{'.includes(character)) depth += 1
    else if (')]}'.includes(character)) depth -= 1
    if (depth > MAX_DEPTH) throw tooDeep(at(offset))
  }
}

function describeForeign(character: string): string {
  const code = `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`
  const plain = character.normalize('NFKD').replace(/[^!-~]/gu, '')
  return plain === '' || plain === character
    ? `${code} is no character of a strategy`
    : `${code} only looks like ${plain}; write ${plain}`
}

function parsedBy(text: string): Parsed {
  const comments: Comment[] = []
  let found: Parsed
  try {
    found = parseExpressionAt(text, 0, { ecmaVersion: 5, onComment: comments, preserveParens: true })
  } catch (error) {
    refuseComment(text, comments)
    const { pos } = Object(error) as { pos?: number }
    // Whatever else a parser can run out of.
    if (pos === undefined) throw tooDeep({ line: 1, column: 1 })
    const what =
      pos >= text.length ? 'the expression is not complete' : `'${wordAt(text, pos)}' is not expected here`
    throw new StrategyError(what, placeOf(text, pos))
  }
  refuseComment(text, comments)
  const rest = /\S/.exec(text.slice(found.end))
  if (rest !== null) {
    const offset = found.end + rest.index
    throw new StrategyError(
      `a strategy is one expression, and here another begins: ${wordAt(text, offset)}`,
      placeOf(text, offset),
    )
  }
  return found
}

function refuseComment(text: string, [comment]: readonly Comment[]): void {
  if (comment !== undefined)
    throw new StrategyError('a strategy has no comments', placeOf(text, comment.start))
}

/** The word that begins there, or the sign. */
function wordAt(text: string, offset: number): string {
  return /^[\w$]{1,40}/.exec(text.slice(offset))?.[0] ?? text[offset] ?? ''
}

function tooDeep(place: { line: number; column: number }): StrategyError {
  return new StrategyError(`expressions stand at most ${MAX_DEPTH} deep in each other`, place)
}

/** What is looked at of the parser's nodes; of which kind one is, its `type` says. */
interface Found extends Parsed {
  readonly name?: string
  readonly raw?: string
  readonly value?: unknown
  readonly operator?: string
  readonly callee?: Found
  readonly object?: Found
  readonly arguments?: readonly Found[]
  readonly argument?: Found
  /** Of brackets, what stands in them. */
  readonly expression?: Found
  readonly expressions?: readonly Found[]
  readonly left?: Found
  readonly right?: Found
  readonly test?: Found
  readonly consequent?: Found
  readonly alternate?: Found
}

class Reader {
  readonly #text: string
  #nodes = 0
  steps = 0
  window = 1

  constructor(text: string) {
    this.#text = text
  }

  error({ start }: Parsed, message: string): StrategyError {
    return new StrategyError(message, placeOf(this.#text, start))
  }

  /** At the sign that follows something: a dot, an operator. */
  #errorAfter({ end }: Parsed, message: string): StrategyError {
    const space = /^\s*/.exec(this.#text.slice(end))?.[0].length ?? 0
    return new StrategyError(message, placeOf(this.#text, end + space))
  }

  expect(expression: Expression, type: ValueType, at: Parsed, why: string): Expression {
    if (expression.type === type) return expression
    throw this.error(at, `${why}: this is ${articled(expression.type)}, not ${articled(type)}`)
  }

  read(found: Found, depth: number): Expression {
    if (depth > MAX_DEPTH) throw tooDeep(placeOf(this.#text, found.start))
    if (isBracketed(found)) return this.read(found.expression, depth + 1)
    this.#nodes += 1
    this.steps += 1
    if (this.#nodes > MAX_NODES) {
      throw this.error(found, `a strategy has at most ${MAX_NODES} names, numbers, calls and operators`)
    }
    switch (found.type) {
      case 'Literal':
        return this.#number(found)
      case 'Identifier':
        return this.#name(found)
      case 'CallExpression':
        return this.#call(found, depth)
      case 'UnaryExpression':
        return this.#unary(found, depth)
      case 'BinaryExpression':
      case 'LogicalExpression':
        return this.#binary(found, depth)
      case 'ConditionalExpression':
        return this.#conditional(found, depth)
      default:
        throw this.#refusal(found) ?? this.error(found, 'a strategy has nothing like this')
    }
  }

  /** What the language does not have, where it begins: of `price.a.b()` the first dot. Undefined where it has it. */
  #refusal(found: Found): StrategyError | undefined {
    const { type, name = '', object = found, callee = found, left = found, expressions = [] } = found
    if (isBracketed(found)) return this.#refusal(found.expression)
    switch (type) {
      case 'Identifier':
        return isWord(name) ? undefined : this.#unknown(found, name)
      case 'Literal':
        return undefined
      case 'CallExpression': {
        const refused = this.#refusal(callee)
        if (callee.type === 'Identifier') return refused
        return refused ?? this.#errorAfter(callee, 'only a function of the language is called')
      }
      case 'MemberExpression':
        return (
          this.#refusal(object) ??
          this.#errorAfter(object, 'a strategy has no members: neither a dot nor brackets')
        )
      case 'AssignmentExpression':
        return this.#errorAfter(left, 'nothing is set in a strategy; to compare write ==')
      case 'SequenceExpression':
        return this.#errorAfter(
          expressions[0] ?? found,
          'a strategy is one expression, not several with commas',
        )
      default: {
        const word = REFUSED.get(type)
        return word === undefined ? undefined : this.error(found, word)
      }
    }
  }

  #number(found: Found): Expression {
    const { raw = '' } = found
    const value = Number(raw)
    if (!NUMBER.test(raw) || !Number.isFinite(value)) {
      throw this.error(
        found,
        `a strategy has plain numbers such as 20 or 0.99, and no ${kindOf(found.value)}`,
      )
    }
    return Object.freeze({ kind: 'number', type: 'number', value })
  }

  #name(found: Found): Expression {
    const { name = '' } = found
    if (Object.hasOwn(NAMES, name)) return Object.freeze({ kind: 'name', type: 'number', name: name as Name })
    if (Object.hasOwn(FUNCTIONS, name)) {
      throw this.error(found, `${name} is called: ${name}(${name === 'hold' ? '' : '...'})`)
    }
    throw this.#unknown(found, name)
  }

  #unknown(found: Found, name: string): StrategyError {
    const meant = nearest(name, ALL_NAMES)
    const hint = meant === undefined ? `there are ${ALL_NAMES.join(', ')}` : `did you mean ${meant}?`
    return this.error(found, `there is no ${name.slice(0, 40)}; ${hint}`)
  }

  #call(found: Found, depth: number): Expression {
    const { callee, arguments: given = [] } = found
    if (callee?.type !== 'Identifier') {
      throw this.#refusal(found) ?? this.error(found, 'only a function of the language is called')
    }
    const name = callee.name ?? ''
    if (!Object.hasOwn(FUNCTIONS, name)) throw this.#unknown(callee, name)
    const { takes, gives } = FUNCTIONS[name as FunctionName]
    const count = { nothing: 0, window: 1, number: 1, numbers: 2 }[takes]
    if (given.length !== count) {
      throw this.error(
        found,
        `${name} takes ${count === 0 ? 'nothing' : `${count} number${count > 1 ? 's' : ''}`}, not ${given.length}`,
      )
    }
    const read = given.map((each) =>
      this.expect(this.read(each, depth + 1), 'number', each, `${name} takes a number`),
    )
    if (takes === 'window') this.#window(name, given[0] ?? found, read[0])
    return Object.freeze({
      kind: 'call',
      type: gives,
      name: name as FunctionName,
      given: Object.freeze(read),
    })
  }

  #window(name: string, found: Found, given: Expression | undefined): void {
    const count = given?.kind === 'number' ? given.value : Number.NaN
    if (!Number.isInteger(count) || count < 1 || count > MAX_WINDOW) {
      throw this.error(found, `${name} takes a whole number from 1 to ${MAX_WINDOW} that stands in the text`)
    }
    const looked = name === 'ago' ? count + 1 : count
    this.steps += looked
    this.window = Math.max(this.window, looked)
  }

  #unary(found: Found, depth: number): Expression {
    const { operator = '', argument = found } = found
    if (!Object.hasOwn(UNARY, operator)) throw this.error(found, `a strategy has no ${operator}`)
    const { takes, gives } = UNARY[operator as UnaryOperator]
    const operand = this.expect(
      this.read(argument, depth + 1),
      takes,
      argument,
      `${operator} takes ${articled(takes)}`,
    )
    return Object.freeze({ kind: 'unary', type: gives, operator: operator as UnaryOperator, operand })
  }

  #binary(found: Found, depth: number): Expression {
    const { operator = '', left = found, right = found } = found
    if (!Object.hasOwn(BINARY, operator)) {
      const plain = { '===': '==', '!==': '!=' }[operator]
      throw this.#errorAfter(
        left,
        `a strategy has no ${operator}${plain === undefined ? '' : `; write ${plain}`}`,
      )
    }
    const { takes, gives } = BINARY[operator as BinaryOperator]
    const why = `${operator} takes ${articled(takes)} on both sides`
    const of = (side: Found) => this.expect(this.read(side, depth + 1), takes, side, why)
    return Object.freeze({
      kind: 'binary',
      type: gives,
      operator: operator as BinaryOperator,
      left: of(left),
      right: of(right),
    })
  }

  #conditional(found: Found, depth: number): Expression {
    const { test = found, consequent = found, alternate = found } = found
    const asked = this.expect(this.read(test, depth + 1), 'boolean', test, 'before ? stands a comparison')
    const yes = this.read(consequent, depth + 1)
    const no = this.expect(
      this.read(alternate, depth + 1),
      yes.type,
      alternate,
      'both sides of : are of one kind',
    )
    return Object.freeze({ kind: 'conditional', type: yes.type, test: asked, yes, no })
  }
}

/** Other nodes have a member of this name, too. */
function isBracketed(found: Found): found is Found & { readonly expression: Found } {
  return found.type === 'ParenthesizedExpression' && found.expression !== undefined
}

function isWord(name: string): boolean {
  return Object.hasOwn(NAMES, name) || Object.hasOwn(FUNCTIONS, name)
}

const TYPE_WORDS: Readonly<Record<ValueType, string>> = {
  number: 'a number',
  boolean: 'a comparison',
  action: 'an action (buy, sell or hold)',
}

function articled(type: ValueType): string {
  return TYPE_WORDS[type]
}

function kindOf(value: unknown): string {
  if (typeof value === 'string') return 'text'
  if (value instanceof RegExp) return 'pattern'
  return value === null || typeof value === 'boolean' ? String(value) : 'number like this'
}

/** What people try, and what they are told. */
const REFUSED: ReadonlyMap<string, string> = new Map([
  ['UpdateExpression', 'nothing is changed in a strategy'],
  ['FunctionExpression', 'a strategy has no functions of its own'],
  ['NewExpression', 'nothing is made in a strategy'],
  ['ThisExpression', 'a strategy has no this'],
  ['ArrayExpression', 'a strategy has no lists'],
  ['ObjectExpression', 'a strategy has no objects'],
])
