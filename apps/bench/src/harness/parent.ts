/**
 * The child's side of a measurement: answers what the bench process asks over the IPC channel. The channel
 * never keeps the child alive, and a child whose parent is gone ends itself, so an interrupted run leaves
 * nothing behind.
 */
export interface Question {
  readonly id: number
  readonly ask: string
  readonly argument: unknown
}

export type Answer = { readonly id: number } & ({ readonly answer: unknown } | { readonly error: string })

/** Answers questions named as the keys of `answers`; other questions are left to other callers. */
export function answerParent(
  answers: Readonly<Record<string, (argument: unknown) => unknown | Promise<unknown>>>,
): void {
  process.on('message', (message) => {
    if (!isQuestion(message)) return
    const answer = answers[message.ask]
    if (answer === undefined) return
    const reply = (reply: Answer): void => {
      process.send?.(reply)
    }
    Promise.resolve()
      .then(() => answer(message.argument))
      .then(
        (value) => reply({ id: message.id, answer: value }),
        (error: unknown) =>
          reply({
            id: message.id,
            error: error instanceof Error ? (error.stack ?? error.message) : `${error}`,
          }),
      )
  })
  process.channel?.unref()
}

process.once('disconnect', () => process.exit())

function isQuestion(message: unknown): message is Question {
  return typeof message === 'object' && message !== null && 'ask' in message && 'id' in message
}
