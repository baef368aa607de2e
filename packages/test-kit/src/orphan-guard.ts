import { type ChildProcess, spawn } from 'node:child_process'
import { Socket } from 'node:net'

/** How a server is ended when nobody is left to end it. INT and QUIT let PostgreSQL clean up. */
export type OrphanSignal = 'KILL' | 'INT' | 'QUIT'

// Its standard input closes when our process is gone, however it went. The last line it read is the order:
// a signal, the server's pid, and other pids to kill with it.
// A zombie has ended, too: where nobody takes in orphans, as in many containers, it stays for ever.
const script = `
runs() {
  kill -0 "$1" 2>/dev/null || return 1
  read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
  case \${stat##*) } in Z*) return 1 ;; esac
}
while IFS= read -r line; do order=$line; done
set -- $order
if [ $# -ge 2 ]; then
  signal=$1; server=$2; shift
  kill -s "$signal" "$server" 2>/dev/null
  tries=0
  while runs "$server" && [ "$tries" -lt "$grace" ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -s KILL "$@" 2>/dev/null
fi
[ -z "$directory" ] || rm -rf "$directory"
`

/**
 * A small process that ends a server, and deletes its directory, once the process that started it is gone:
 * killed with SIGKILL, crashed, or simply at its end.
 */
export class OrphanGuard {
  readonly #child: ChildProcess

  /** `directory` is deleted at the end when given; `graceMs` is how long a server may take to end in order. */
  constructor(directory: string | undefined, graceMs = 10_000) {
    const env = {
      directory: directory ?? '',
      grace: String(Math.ceil(graceMs / 100)),
      order: '',
      PATH: '/usr/bin:/bin',
    }
    // Detached: a Ctrl-C in the terminal is meant for our process alone.
    this.#child = spawn('/bin/sh', ['-c', script], {
      cwd: '/',
      env,
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    this.#child.unref()
    this.#child.stdin?.on('error', () => {})
    if (this.#child.stdin instanceof Socket) this.#child.stdin.unref()
  }

  /** What to end: the server, and processes that would outlive it (frozen ones do). */
  watch(signal: OrphanSignal, pids: readonly number[]): void {
    this.#child.stdin?.write(`${signal} ${pids.join(' ')}\n`)
  }

  /** The server has ended; its directory stays in care. */
  unwatch(): void {
    this.#child.stdin?.write('\n')
  }

  /** Ends the guard. The server, if any, is left alone. */
  release(): void {
    if (this.#child.stdin?.writableEnded) return
    this.unwatch()
    this.abandon()
  }

  /** Does what the end of our process does: the guard ends what it watches. */
  abandon(): void {
    this.#child.stdin?.end()
  }
}
