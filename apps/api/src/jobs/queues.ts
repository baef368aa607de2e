// Every queue, and how its jobs are run. The numbers stand in the database, where a migration has written them, because
// every process that puts in a job must agree on them; a test compares the two. A change is a new migration.

/** The queues, by name. */
export const QUEUE_NAMES = ['settle', 'notify'] as const

export type QueueName = (typeof QUEUE_NAMES)[number]

/** How the jobs of a queue are run. */
export interface QueueRules {
  /** Tries after the first one. */
  readonly retries: number
  /**
   * Before try n + 1 comes a pause of so many seconds times 2^n, shortened by chance to as little as half. None is cut
   * off at a maximum: that would take the chance from the longest ones, and what has failed together would come back
   * together.
   */
  readonly backoffSeconds: number
  /** What one try may take, in seconds. */
  readonly deadlineSeconds: number
  /** A try whose process has said nothing for so many seconds is over, and somebody else begins the next one. */
  readonly heartbeatSeconds: number
  /** Where jobs end that nobody tries any more. */
  readonly deadLetters: string
}

export const QUEUES: Readonly<Record<QueueName, QueueRules>> = {
  settle: {
    retries: 8,
    backoffSeconds: 1,
    deadlineSeconds: 60,
    heartbeatSeconds: 15,
    deadLetters: 'settle.dead',
  },
  // Others have to be there for it, so it goes on for more than half an hour.
  notify: {
    retries: 10,
    backoffSeconds: 2,
    deadlineSeconds: 30,
    heartbeatSeconds: 15,
    deadLetters: 'notify.dead',
  },
}

/** A queue as the database has it. */
export interface StoredQueue {
  readonly name: string
  readonly policy: string
  readonly dead_letter: string | null
}

/** What the database lacks of the queues, in words; empty when nothing. */
export function lackingQueues(stored: readonly StoredQueue[]): string[] {
  const byName = new Map(stored.map((queue) => [queue.name, queue]))
  return QUEUE_NAMES.flatMap((name) => {
    const { deadLetters } = QUEUES[name]
    const queue = byName.get(name)
    const lacking: string[] = []
    if (queue === undefined) lacking.push(`no queue ${name}`)
    else if (queue.policy !== 'short')
      lacking.push(`a queue ${name} of the policy ${queue.policy}, not short`)
    // pg-boss joins the two when a job dies: without the second one the job would be gone without a word.
    if (!byName.has(deadLetters)) lacking.push(`no queue ${deadLetters}`)
    else if (queue !== undefined && queue.dead_letter !== deadLetters) {
      lacking.push(
        `a queue ${name} whose dead letters go to ${queue.dead_letter ?? 'nobody'}, not ${deadLetters}`,
      )
    }
    return lacking
  })
}
