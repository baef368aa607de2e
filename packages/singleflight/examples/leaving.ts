import { Singleflight } from '@holdfast/singleflight'

const flights = new Singleflight({ whenAbandoned: 'abort' })

const report = ({ signal }: { signal: AbortSignal }) =>
  new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => resolve('the report'), 50)
    // Reached only when nobody waits any more.
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      reject(signal.reason)
    })
  })

const browser = new AbortController()
const calls = [
  flights.run(['report', 7], report, { timeoutMs: 10 }),
  flights.run(['report', 7], report, { signal: browser.signal }),
  flights.run(['report', 7], report),
]
browser.abort()

for (const result of await Promise.allSettled(calls)) {
  console.log(result.status === 'fulfilled' ? result.value : result.reason.code)
}
