/** The longest delay a timer of Node.js can hold. */
const LONGEST_MS = 2_147_483_647

/**
 * Keeps the process alive until the function it returns is called. The timers of a `Clock` do not: a process with
 * nothing else to do would end in the middle of what somebody waits for.
 */
export function holdProcess(): () => void {
  const timer = setInterval(() => {}, LONGEST_MS)
  return () => clearInterval(timer)
}
