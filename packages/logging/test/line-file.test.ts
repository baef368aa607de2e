import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
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

/** A pipe with more to write than it holds: lines of 100 bytes, and nobody reads. */
function fullPipe(t: Test, lines = 2000) {
  const pipe = join(directoryOf(t), 'pipe')
  execFileSync('mkfifo', [pipe])
  const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
  const writer = openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK)
  const clock = new HandClock()
  const file = new LineFile({ target: writer, maxPending: lines * 100, clock })
  for (let each = 0; each < lines; each++) file.write(`${String(each).padStart(99, '0')}\n`)
  return { reader, writer, clock, file }
}

t.test('a pipe that is full keeps nobody waiting, and gets all of it later', async (t) => {
  const { reader, writer, clock, file } = fullPipe(t)
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
  const { reader, writer, clock, file } = fullPipe(t)
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

t.test(
  'at the end of a process who has stopped reading is waited for once, however much waits',
  async (t) => {
    // 256 pieces of 64 KB: with a fifth of a second for each, this test would not end in time.
    const { reader, writer, clock, file } = fullPipe(t, 160_000)
    await waitUntil(() => clock.pendingTimers > 0)
    file.flushSync()
    t.ok(file.dropped > 159_000, `${file.dropped} lines`)
    await clock.advance(50)
    closeSync(reader)
    closeSync(writer)
  },
)

t.test('a close waits for a reader who reads, and not for one who has stopped', async (t) => {
  const { reader, writer, clock, file } = fullPipe(t)
  let isClosed = false
  const closed = file.close().then(() => {
    isClosed = true
  })
  await waitUntil(() => clock.pendingTimers > 1)
  await clock.advance(900)
  const bytes = Buffer.alloc(65_536)
  let text = bytes.toString('utf8', 0, readSync(reader, bytes))
  await waitUntil(async () => {
    await clock.advance(50)
    return file.dropped > 0
  })
  await closed
  t.ok(isClosed)
  for (let read = 1; read > 0; ) {
    read = 0
    try {
      read = readSync(reader, bytes)
      text += bytes.toString('utf8', 0, read)
    } catch {
      // Nothing there any more.
    }
  }
  t.ok(text.length > 65_536, 'what was read in time was written')
  t.equal(text.split('\n').filter((line) => line.length === 99).length + file.dropped, 2000)
  await clock.advance(50)
  t.equal(clock.pendingTimers, 0)
  closeSync(reader)
  closeSync(writer)
})

t.test('a folder that is removed is made again, and a file that is renamed is let go', async (t) => {
  const path = join(directoryOf(t), 'logs')
  const target = join(path, 'a.log')
  const clock = new HandClock()
  const file = new LineFile({ ...parts, clock, target })
  file.write('first\n')
  await file.flush()
  rmSync(path, { recursive: true })
  await clock.advance(1000)
  file.write('second\n')
  await file.flush()
  t.equal(readFileSync(target, 'utf8'), 'second\n')
  renameSync(target, join(path, 'away.log'))
  await clock.advance(1000)
  file.write('third\n')
  await file.flush()
  t.equal(readFileSync(join(path, 'away.log'), 'utf8'), 'second\n')
  t.equal(readFileSync(target, 'utf8'), 'third\n')
  t.equal(file.dropped, 0)
  await file.close()
})

t.test(
  'a file that cannot be opened costs lines, which are counted, and is opened when it can be',
  async (t) => {
    const path = directoryOf(t)
    const inTheWay = join(path, 'logs')
    writeFileSync(inTheWay, 'a file where a folder should be')
    const errors: unknown[] = []
    const clock = new HandClock()
    const target = join(inTheWay, 'a.log')
    const file = new LineFile({ ...parts, clock, target, onError: (error) => errors.push(error) })
    for (let each = 0; each < 3; each++) {
      file.write('lost\n')
      await file.flush()
      await clock.advance(1000)
    }
    file.write('lost\n')
    file.flushSync()
    t.equal(file.dropped, 4)
    t.match(errors, [{ code: /EEXIST|ENOTDIR/ }])
    t.equal(errors.length, 1, 'told once')
    rmSync(inTheWay)
    await clock.advance(1000)
    file.write('found\n')
    await file.flush()
    t.equal(readFileSync(target, 'utf8'), 'found\n')
    t.equal(file.dropped, 4)
    await file.close()
  },
)

t.test('a full disk costs lines, which are counted, and each line that is written is whole', async (t) => {
  const path = directoryOf(t)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', path], { stdio: 'ignore' })
  } catch {
    t.pass('not seen here: only root may make a disk of 64 KB')
    return
  }
  t.teardown(() => execFileSync('umount', ['-l', path]))
  const errors: unknown[] = []
  const target = join(path, 'a.log')
  const file = new LineFile({
    ...parts,
    maxPending: 1_000_000,
    target,
    onError: (error) => errors.push(error),
  })
  const lines = (from: number) => {
    for (let each = from; each < from + 1000; each++) file.write(`${String(each).padStart(99, '0')}\n`)
  }
  writeFileSync(join(path, 'ballast'), 'x'.repeat(20_000))
  lines(0)
  await file.flush()
  t.match(errors, [{ code: 'ENOSPC' }])
  t.equal(errors.length, 1)
  rmSync(join(path, 'ballast'))
  file.write(`${'9'.repeat(99)}\n`)
  await file.flush()
  const written = readFileSync(target, 'utf8').split('\n')
  const whole = written.filter((line) => line.length === 99)
  t.equal(written.at(-2), '9'.repeat(99), 'the line after those that were lost stands by itself')
  t.equal(whole.length + file.dropped, 1001, `${whole.length} are written, ${file.dropped} are counted`)
  t.ok(written.length - whole.length <= 2, 'at most one is cut off')
  await file.close()
})
