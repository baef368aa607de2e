import { StaleCache } from '@holdfast/stale-cache'

let asked = 0
const quotes = new StaleCache<number>('quotes', {
  load: async (symbols) => {
    asked += 1
    return symbols.map((key) => ({ key, value: key.length, tags: ['market-data'] }))
  },
  fallback: () => 0,
})

// 50 callers, two keys, one load.
const callers = Array.from({ length: 50 }, (_, index) => quotes.get(index % 2 === 0 ? 'ACME' : 'GLOBEX'))
console.log((await Promise.all(callers)).length, 'answers,', asked, 'load')

// A write stores what it has just written: loads that are still out cannot undo it.
quotes.set('ACME', { value: 7, version: 2 })
console.log(await quotes.get('ACME'), quotes.set('ACME', { value: 6, version: 1 }))

// Stale, but still there: the bytes are kept for when the source fails.
quotes.invalidateTag('market-data')
console.log(quotes.peek('GLOBEX').source, quotes.peek('GLOBEX').value)
await quotes.close()
