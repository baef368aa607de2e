import { HandClock, seededRandom } from '@holdfast/test-kit'

const clock = new HandClock()
const random = seededRandom(7)
clock.schedule(1000, () => console.log('rang at', clock.nowMs()))
await clock.advance(999)
console.log('quiet at', clock.nowMs())
await clock.advance(1)
console.log('a die shows', random.int(1, 6))
