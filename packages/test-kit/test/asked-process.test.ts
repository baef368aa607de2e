import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { AskedProcess, waitUntil } from '../src/index.ts'

const script = new URL('./answering-script.ts', import.meta.url)

class Answering extends AskedProcess {
  sing(): Promise<unknown> {
    return this.ask({ ask: 'sing' })
  }
}

t.test('a process answers, tells, and ends when it is asked to', async (t) => {
  const told: { told: string }[] = []
  const one = await Answering.start(script, { name: 'one' }, (message: { told: string }) =>
    told.push(message),
  )
  t.teardown(() => one.end())
  t.ok(one.pid > 0)
  t.equal(await one.sing(), 'one was asked to sing')
  t.strictSame(told, [{ told: 'sing' }])
  t.equal(await one.close(), 0)
  await one.end()
})

t.test('a frozen process answers when it goes on, and one that is killed is gone', async (t) => {
  const one = await Answering.start(script, { name: 'one' })
  t.teardown(() => one.end())
  one.freeze()
  let answer: unknown
  const asked = one.sing().then((sung) => {
    answer = sung
  })
  await sleep(50)
  t.equal(answer, undefined)
  one.thaw()
  await asked
  t.equal(answer, 'one was asked to sing')
  await one.end()
  await waitUntil(() => {
    try {
      process.kill(one.pid, 0)
      return false
    } catch {
      return true
    }
  })
})

t.test('one that ends before it has started is told', async (t) => {
  await t.rejects(Answering.start(script, { code: 3 }), { message: 'the process ended with 3' })
})
