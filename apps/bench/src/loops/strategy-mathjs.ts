/**
 * Strategies by mathjs: compiled, with one scope for all of them. What a text may hold an engineer has to check; here
 * these are kinds of nodes and names, and no types.
 */
import { all, create, type MathNode } from 'mathjs'
import type { CreateLoop } from '../harness/row.ts'
import { decidingLoop, readingLoop, STRATEGIES, Words } from './strategy.ts'

const { look, ...functions } = new Words()
const math = create(all ?? {}, {})
math.import(functions, { override: true })

const NAMES = new Set(['price', 'position', 'cash', ...Object.keys(functions)])
const KINDS = new Set([
  'ConstantNode',
  'SymbolNode',
  'FunctionNode',
  'OperatorNode',
  'ConditionalNode',
  'ParenthesisNode',
])

/** Its words for what is between two comparisons are others. */
const inMathjs = (text: string) => text.replaceAll('&&', 'and')

function read(text: string) {
  const node = math.parse(text)
  node.traverse((each: MathNode & { readonly name?: string }) => {
    if (!KINDS.has(each.type)) throw new SyntaxError(`a strategy has no ${each.type}`)
    if (each.type === 'SymbolNode' && !NAMES.has(each.name ?? '')) {
      throw new SyntaxError(`there is no ${each.name}`)
    }
  })
  return node.compile()
}

const createLoop: CreateLoop = async ([what]) => {
  const texts = STRATEGIES.map(inMathjs)
  if (what === 'read') return readingLoop(read, texts)
  const scope = new Map<string, number>()
  return decidingLoop(
    texts.map((text) => {
      const strategy = read(text)
      return (moment) => {
        scope.set('price', look(moment)).set('position', moment.position).set('cash', moment.cash)
        return strategy.evaluate(scope)
      }
    }),
  )
}
export default createLoop
