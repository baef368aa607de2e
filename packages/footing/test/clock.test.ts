import { execFileSync } from 'node:child_process'
import { afterTurn, holdProcess, systemClock } from '@holdfast/footing'
import t from 'tap'

t.test('the system clock goes forward, tells the wall time and calls back', async (t) => {
  const before = systemClock.nowMs()
  await new Promise<void>((resolve) => {
    const release = holdProcess()
    systemClock.schedule(1, () => {
      release()
      resolve()
    })
  })
  t.ok(systemClock.nowMs() > before)
  t.ok(Math.abs(systemClock.wallMs() - Date.now()) < 60_000)
})

t.test('after a turn the promises of this turn are settled', async (t) => {
  const seen: string[] = []
  const turn = new Promise<void>((resolve) =>
    afterTurn(() => {
      seen.push('turn')
      resolve()
    }),
  )
  void Promise.resolve()
    .then(() => Promise.resolve())
    .then(() => seen.push('promises'))
  await turn
  t.strictSame(seen, ['promises', 'turn'])
})

t.test('a cancelled callback is not called', async (t) => {
  let called = false
  systemClock.schedule(0, () => {
    called = true
  })()
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.notOk(called)
})

t.test('a pending callback does not keep the process alive, a held process stays', async (t) => {
  const run = (code: string) =>
    execFileSync(
      process.execPath,
      [
        '--conditions=@holdfast/source',
        '--input-type=module',
        '--eval',
        `import { afterTurn, holdProcess, systemClock } from '@holdfast/footing'; ${code}`,
      ],
      { encoding: 'utf8', cwd: import.meta.dirname },
    )
  t.equal(
    run(`systemClock.schedule(60_000, () => {}); process.on('exit', () => console.log('ended'))`),
    'ended\n',
  )
  t.equal(
    run(
      `const release = holdProcess(); systemClock.schedule(50, () => { console.log('called'); release() })`,
    ),
    'called\n',
  )
  t.equal(
    run(`const first = holdProcess(); const second = holdProcess(); first(); first()
      systemClock.schedule(50, () => { console.log('still held'); second(); holdProcess()() })`),
    'still held\n',
    'every hold counts once',
  )
})
