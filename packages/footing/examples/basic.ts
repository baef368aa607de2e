import { OptionChecks, systemClock, withRetryAfter } from '@holdfast/footing'

const check = new OptionChecks(
  (option, expected, received) => new TypeError(`"${option}" must be ${expected}, received ${received}`),
)

function resolveOptions(options: { max?: number; waitMs?: number }) {
  const resolved = {
    max: check.count('max', options.max ?? 20),
    waitMs: check.duration('waitMs', options.waitMs ?? 50),
  }
  check.onlyKnown('', options, Object.keys(resolved))
  return resolved
}

console.log(resolveOptions({ waitMs: 0 }))
try {
  resolveOptions({ max: -1 })
} catch (error) {
  console.log(String(error))
}

const startedMs = systemClock.nowMs()
const { retryAfterSeconds } = withRetryAfter(new Error('full'), 1500)
console.log(systemClock.nowMs() >= startedMs, retryAfterSeconds)
