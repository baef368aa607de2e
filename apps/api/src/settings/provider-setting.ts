// How the provider of odds is named, and what it is asked for.

import { SPORT } from '../provider/provider-feed.ts'
import type { Kind } from './setting.ts'

/** Each is asked for by itself, and has a loop of its own. */
export const MAX_SPORTS = 100
const SPORTS_FIX = `Write up to ${MAX_SPORTS} names of small letters, digits and _, with commas between: football,tennis.`

/** Where a provider is. Whoever may read the settings may read it, so it holds no password. */
export const providerUrl: Kind<string> = {
  kind: 'URL',
  parse(given) {
    const url = URL.parse(given)
    if (url === null || !/^https?:$/.test(url.protocol) || given.length > 256) {
      return { wrong: 'is not the URL of a provider', fix: 'Write https://odds.example/base.' }
    }
    if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
      return {
        wrong: 'holds more than a host, a port and a path',
        fix: 'Write https://odds.example/base, without a user, a query or a fragment.',
      }
    }
    return { value: given }
  },
}

/** Sports with commas between, each once. */
export const sports: Kind<readonly string[]> = {
  kind: 'names',
  parse(given) {
    const names = given.split(',').map((name) => name.trim())
    const wrong = names.find((name) => !SPORT.test(name))
    if (wrong !== undefined) {
      return {
        wrong: `holds ${JSON.stringify(wrong.slice(0, 50))}, which is no name of a sport`,
        fix: SPORTS_FIX,
      }
    }
    const twice = names.find((name, at) => names.indexOf(name) !== at)
    if (twice !== undefined) return { wrong: `names ${twice} twice`, fix: SPORTS_FIX }
    if (names.length > MAX_SPORTS) return { wrong: `has more than ${MAX_SPORTS} names`, fix: SPORTS_FIX }
    return { value: Object.freeze(names) }
  },
}
