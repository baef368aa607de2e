import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { findExecutable } from '../src/executable.ts'
import { canEnter, unprivilegedIdentity } from '../src/identity.ts'
import { launchCommand } from '../src/launch-command.ts'
import { OrphanGuard } from '../src/orphan-guard.ts'
import { takeProcessLock } from '../src/process-lock.ts'
import {
  descendants,
  freezeTree,
  isRunning,
  listProcesses,
  processesIn,
  signal,
} from '../src/process-tree.ts'
import { temporaryDirectory, temporaryRoot } from '../src/temporary-directory.ts'
import { TextTail } from '../src/text-tail.ts'
import { waitUntil } from '../src/wait-until.ts'

const asRoot = process.getuid?.() === 0

/** A shell with a child, which has a child. */
async function family() {
  const child = spawn('/bin/sh', ['-c', '/bin/sh -c "sleep 60; :" & wait'], { cwd: '/tmp' })
  const pid = child.pid ?? 0
  await waitUntil(() => descendants(pid).length === 2)
  return { child, pid, all: [pid, ...descendants(pid)] }
}

t.test('knows the tree below a process, and freezes all of it', async (t) => {
  const { pid, all } = await family()
  t.equal(all.length, 3)
  t.same(freezeTree(pid).sort(), [...all].sort())
  t.ok(all.every(isRunning), 'the frozen are alive')
  for (const one of all) signal(one, 'SIGKILL')
  await waitUntil(() => !all.some(isRunning))
  t.notOk(signal(pid, 'SIGCONT') && isRunning(pid))
})

t.test('finds a child that is listed before its parent', async (t) => {
  const processes = [
    { pid: 30, parentPid: 20, zombie: false },
    { pid: 20, parentPid: 10, zombie: false },
    { pid: 99, parentPid: 1, zombie: false },
  ]
  t.same(descendants(10, processes), [20, 30])
})

t.test('a zombie does not run', async (t) => {
  // The shell becomes a sleep, which never asks after the child that the shell had.
  const child = spawn('/bin/sh', ['-c', 'sleep 0 & echo $!; exec sleep 60'])
  t.teardown(() => child.kill('SIGKILL'))
  const pid: number = await new Promise((resolve) => child.stdout.on('data', (text) => resolve(Number(text))))
  await waitUntil(() => !isRunning(pid))
  t.ok(
    listProcesses().some((one) => one.pid === pid && one.zombie),
    'it is still listed',
  )
})

t.test(
  'reads ps where there is no /proc',
  { skip: findExecutable('ps') === undefined && 'there is no ps here' },
  async (t) => {
    const { pid, all } = await family()
    const listed = listProcesses('/nonexistent')
    t.same(descendants(pid, listed).sort(), all.slice(1).sort())
    t.same(listed.find((one) => one.pid === pid)?.parentPid, process.pid)
    t.same(processesIn('/tmp', 'postgres', '/nonexistent'), [])
    for (const one of all) signal(one, 'SIGKILL')
    // A builtin waits, because a shell that forks is listed twice for a moment.
    const sleeper = spawn('/bin/sh', ['-c', 'read end', 'postgres', '-D', '/data/here', '-p', '1'])
    t.same(processesIn('/data/here', 'postgres', '/nonexistent'), [sleeper.pid])
    for (const one of freezeTree(sleeper.pid ?? 0)) signal(one, 'SIGKILL')
  },
)

t.test('without setpriv the guard alone ends a server, and deletes its directory', async (t) => {
  const { path } = temporaryDirectory('guarded')
  const { pid, all } = await family()
  const guard = new OrphanGuard(path)
  guard.watch('KILL', freezeTree(pid))
  t.ok(all.every(isRunning))
  // The end of its input is what it sees when our process ends.
  guard.abandon()
  await waitUntil(() => !all.some(isRunning) && !existsSync(path))
  t.pass('nothing is left')
})

t.test('a guard gives a server time to end in order, and no more', async (t) => {
  const child = spawn('/bin/sh', ['-c', 'trap "" INT; echo ready; while :; do sleep 0.05; done'])
  const pid = child.pid ?? 0
  await new Promise((resolve) => child.stdout.once('data', resolve))
  const guard = new OrphanGuard(undefined, 200)
  guard.watch('INT', [pid])
  guard.abandon()
  await waitUntil(() => !isRunning(pid))
  t.equal(
    await new Promise((resolve) =>
      child.signalCode ? resolve(child.signalCode) : child.once('exit', (_, name) => resolve(name)),
    ),
    'SIGKILL',
  )
})

t.test('a released guard ends nothing', async (t) => {
  const { pid, all } = await family()
  const guard = new OrphanGuard(undefined)
  guard.watch('KILL', [pid])
  guard.release()
  guard.release()
  await new Promise((resolve) => setTimeout(resolve, 200))
  t.ok(all.every(isRunning))
  for (const one of all) signal(one, 'SIGKILL')
})

t.test('a command is wrapped by setpriv, which also changes the user', async (t) => {
  const identity = { name: 'somebody', uid: 12, gid: 34 }
  t.same(launchCommand('server', ['-x'], undefined, 'KILL', '/bin/setpriv'), {
    file: '/bin/setpriv',
    args: ['--pdeathsig=KILL', '--', 'server', '-x'],
  })
  t.same(launchCommand('server', ['-x'], identity, 'INT', '/bin/setpriv'), {
    file: '/bin/setpriv',
    args: ['--pdeathsig=INT', '--reuid=12', '--regid=34', '--clear-groups', '--', 'server', '-x'],
  })
  t.same(launchCommand('server', ['-x'], undefined, 'KILL', null), { file: 'server', args: ['-x'] })
  t.same(launchCommand('server', [], identity, 'KILL', null), { file: 'server', args: [], uid: 12, gid: 34 })
})

for (const abstract of [true, false]) {
  const kind = abstract ? 'an abstract address' : 'a socket file'
  const skip = abstract && process.platform !== 'linux' && 'only Linux has abstract addresses'
  t.test(`a lock by ${kind} is held once, and given up with its process`, { skip }, async (t) => {
    const name = `a test of ${process.pid} ${abstract}`
    const lock = await takeProcessLock(name, abstract)
    t.ok(lock)
    t.equal(await takeProcessLock(name, abstract), undefined)
    lock?.release()
    const again = await takeProcessLock(name, abstract)
    t.ok(again)
    again?.release()
    // Somebody who took it and was killed.
    const module = new URL('../src/process-lock.ts', import.meta.url).href
    const script = `const { takeProcessLock } = await import('${module}')
      await takeProcessLock(${JSON.stringify(name)}, ${abstract}); process.kill(process.pid, 'SIGKILL')`
    const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', script])
    t.equal(signal, 'SIGKILL')
    const after = await takeProcessLock(name, abstract)
    t.ok(after)
    after?.release()
  })
}

t.test('a lock that cannot be made is an error', async (t) => {
  await t.rejects(takeProcessLock('a test', false, '/nonexistent'), { code: /EACCES|ENOENT/ })
})

t.test('as root, servers run as a user without rights', { skip: !asRoot && 'only for root' }, async (t) => {
  const identity = unprivilegedIdentity()
  t.equal(identity?.name, 'postgres')
  t.ok(identity && identity.uid > 0)
  const { path, remove } = temporaryDirectory('locked')
  t.teardown(remove)
  t.notOk(canEnter(identity, path))
  t.ok(canEnter(undefined, path))
  t.not(temporaryRoot(identity, path), path, 'another place is chosen')
  await mkdir(join(path, 'below'), { mode: 0o777 })
  t.notOk(canEnter(identity, join(path, 'below')))
})

t.test(
  'as root, the user is created when it is not there',
  { skip: !asRoot && 'only for root' },
  async (t) => {
    const name = `hf-test-${process.pid}`
    t.teardown(() => spawnSync('userdel', [name]))
    const identity = unprivilegedIdentity(name)
    t.equal(identity?.name, name)
    t.ok(identity && identity.uid > 0 && identity.gid > 0)
    t.same(unprivilegedIdentity(name), identity)
    t.throws(() => unprivilegedIdentity('not a name'), {
      code: 'HOLDFAST_ERR_TEST_KIT_MISSING_PROGRAM',
      message: /refuses to run as root.*useradd --system/,
    })
  },
)

t.test('keeps the end of a long text', async (t) => {
  const tail = new TextTail(5)
  for (const text of ['abc', '', 'defg']) tail.append(text)
  t.equal(tail.toString(), 'cdefg')
})

t.test('waits for a condition, but not for ever', async (t) => {
  let looks = 0
  await waitUntil(() => {
    looks += 1
    return looks === 3
  })
  t.equal(looks, 3)
  await t.rejects(
    waitUntil(() => false, { timeoutMs: 20, what: 'a miracle' }),
    {
      message: /a miracle did not come true within 20 ms/,
    },
  )
  await t.rejects(
    waitUntil(() => false, { timeoutMs: 0 }),
    { message: /a condition/ },
  )
  const broken = waitUntil(() => {
    throw new Error('broken')
  })
  await t.rejects(broken, { message: 'broken' })
})
