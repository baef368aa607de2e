import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdirSync, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { HandClock, temporaryDirectory, waitUntil } from '@holdfast/test-kit'
import t, { type Test } from 'tap'
import { LineFile } from '../src/line-file.ts'

const parts = { maxPending: 1000, clock: new HandClock() }

function directoryOf(t: Test): string {
  const { path, remove } = temporaryDirectory('lines')
  t.teardown(remove)
  return path
}

t.test('what waits is bounded, and what is beyond that is counted', async (t) => {
  const path = directoryOf(t)
  const file = new LineFile({ ...parts, target: join(path, 'a.log') })
  for (let each = 0; each < 20; each++) file.write(`${'x'.repeat(99)}\n`)
  t.equal(file.dropped, 10)
  await file.flush()
  file.write('y\n')
  await file.close()
  t.equal(readFileSync(join(path, 'a.log'), 'utf8').length, 1002)
  file.write('late\n')
  file.flushSync()
  await file.flush()
  await file.close()
  t.equal(file.dropped, 11)
})

t.test('at the end of a process what waits is written', async (t) => {
  const path = directoryOf(t)
  const file = new LineFile({ ...parts, target: join(path, 'a.log'), rotation: { maxBytes: 10, keep: 0 } })
  file.write('first\n')
  file.write('second\n')
  file.flushSync()
  t.equal(readFileSync(join(path, 'a.log'), 'utf8'), 'second\n', 'and full files that are not kept are gone')
  await file.close()
})

t.test('what cannot be written is lost, counted, and told once', async (t) => {
  const errors: unknown[] = []
  const descriptor = openSync('/dev/full', 'a')
  const file = new LineFile({ ...parts, target: descriptor, onError: (error) => errors.push(error) })
  file.write('a\n')
  await file.flush()
  file.write('b\n')
  await file.flush()
  file.write('c\n')
  file.flushSync()
  t.equal(file.dropped, 3)
  t.match(errors, [{ code: 'ENOSPC' }])
  t.equal(errors.length, 1)
  await file.close()
  closeSync(descriptor)
})

t.test('a file that cannot be renamed goes on growing', async (t) => {
  const path = directoryOf(t)
  const errors: unknown[] = []
  const target = join(path, 'a.log')
  const file = new LineFile({
    ...parts,
    target,
    rotation: { maxBytes: 10, keep: 2 },
    onError: (error) => errors.push(error),
  })
  file.write('first\n')
  await file.flush()
  // Nothing can be renamed onto a folder that is not empty.
  mkdirSync(join(path, 'a.1.log', 'inside'), { recursive: true })
  mkdirSync(join(path, 'a.2.log', 'inside'), { recursive: true })
  file.write('second line\n')
  await file.flush()
  t.equal(errors.length, 1)
  t.equal(readFileSync(target, 'utf8'), 'first\nsecond line\n')
  await file.close()
})

t.test('a pipe that is full keeps nobody waiting, and gets all of it later', async (t) => {
  const path = directoryOf(t)
  const pipe = join(path, 'pipe')
  execFileSync('mkfifo', [pipe])
  const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
  const writer = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK)
  const clock = new HandClock()
  const file = new LineFile({ target: writer, maxPending: 1_000_000, clock })
  for (let each = 0; each < 2000; each++) file.write(`${String(each).padStart(99, '0')}\n`)
  const bytes = Buffer.alloc(65_536)
  let text = ''
  let isDone = false
  void file.flush().then(() => {
    isDone = true
  })
  await waitUntil(async () => {
    try {
      text += bytes.toString('utf8', 0, readSync(reader, bytes))
    } catch {
      await clock.advance(50)
    }
    return isDone && text.length === 200_000
  })
  t.same(
    text.trim().split('\n').map(Number),
    Array.from({ length: 2000 }, (_, each) => each),
  )
  t.equal(file.dropped, 0)
  closeSync(reader)
  closeSync(writer)
})

t.test('at the end of a process a pipe that was full gets the rest, or is given up', async (t) => {
  const path = directoryOf(t)
  const pipe = join(path, 'pipe')
  execFileSync('mkfifo', [pipe])
  const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
  const writer = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK)
  const clock = new HandClock()
  const file = new LineFile({ target: writer, maxPending: 1_000_000, clock })
  for (let each = 0; each < 2000; each++) file.write(`${String(each).padStart(99, '0')}\n`)
  // The pipe holds 64 KB: some of it is written, and the rest waits for a timer.
  await waitUntil(() => clock.pendingTimers > 0)
  file.flushSync()
  t.ok(file.dropped > 1000 && file.dropped < 2000, `${file.dropped} lines of a reader who reads nothing`)
  const bytes = Buffer.alloc(65_536)
  const text = bytes.toString('utf8', 0, readSync(reader, bytes))
  t.ok(text.startsWith(`${'0'.repeat(99)}\n`))
  await clock.advance(50)
  closeSync(reader)
  closeSync(writer)
})
