import { randomInt } from 'node:crypto'
import { wishedSeed } from './config.ts'

/** Random numbers that a test can have again by its seed. Not for secrets. */
export interface SeededRandom {
  /** Run again with `HOLDFAST_SEED=<seed>`. */
  readonly seed: number
  /** A number in [0, 1). */
  next(): number
  /** An integer from `min` to `max`, both included. */
  int(min: number, max: number): number
  /** One of the list. Throws on an empty list. */
  pick<T>(list: readonly T[]): T
  /** The list in another order. */
  shuffle<T>(list: readonly T[]): T[]
  /** Prints the seed as a comment of the running test. */
  announce(t: { comment(text: string): unknown }): void
}

type State = [number, number, number, number]

/**
 * A source of random numbers: xoshiro128** (Blackman and Vigna, 2018) seeded by splitmix32.
 * `HOLDFAST_SEED` in the environment overrides `seed`; without both the seed itself is random.
 */
export function seededRandom(seed: number = randomInt(2 ** 32)): SeededRandom {
  const chosen = wishedSeed() ?? seed
  if (!Number.isSafeInteger(chosen)) throw new RangeError(`a seed is an integer, received ${chosen}`)
  const word = splitMix(chosen)
  const state: State = [word(), word(), word(), word()]
  const next = () => xoshiro(state) / 2 ** 32
  const int = (min: number, max: number) => {
    if (!(Number.isSafeInteger(min) && Number.isSafeInteger(max) && min <= max)) {
      throw new RangeError(`int() wants two integers in order, received ${min} and ${max}`)
    }
    return min + Math.floor(next() * (max - min + 1))
  }
  return {
    seed: chosen,
    next,
    int,
    pick(list) {
      if (list.length === 0) throw new RangeError('pick() wants a list that is not empty')
      return at(list, int(0, list.length - 1))
    },
    shuffle(list) {
      const left = [...list]
      return list.map(() => at(left.splice(int(0, left.length - 1), 1), 0))
    },
    announce(t) {
      t.comment(`HOLDFAST_SEED=${chosen}`)
    },
  }
}

/** One step of xoshiro128**: changes `state` and answers 32 bits. */
export function xoshiro(state: State): number {
  const answer = Math.imul(rotate(Math.imul(state[1], 5), 7), 9) >>> 0
  const shifted = state[1] << 9
  state[2] ^= state[0]
  state[3] ^= state[1]
  state[1] ^= state[2]
  state[0] ^= state[3]
  state[2] ^= shifted
  state[3] = rotate(state[3], 11)
  return answer
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}

/** Spreads a seed over the four words of the state, so that near seeds give far sequences. */
function splitMix(seed: number): () => number {
  // The upper bits of a large seed count, too.
  let state = (seed ^ Math.floor(seed / 2 ** 32)) | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    let word = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97)
    return word ^ (word >>> 15)
  }
}

function at<T>(list: readonly T[], index: number): T {
  return list[index] as T
}
