/*
 * Whether a connection is of use: the server answers, has loaded its data, and is a primary. On a cluster this holds
 * for every primary, because the calls to one that does not answer would each wait for their budget.
 */
import { afterTurn, type Clock } from '@holdfast/footing'
import type { RawClient } from './client.ts'
import { isReply } from './reply-error.ts'

/** Rejects with the reason when the connection is of no use; may never settle. */
export async function probe(client: RawClient): Promise<void> {
  if (!client.isCluster) {
    await Promise.all([client.callBuffer('PING'), requirePrimary(client)])
    return
  }
  const primaries = client.nodes('master')
  if (primaries.length === 0) throw new Error('the cluster has no primaries')
  await Promise.all(primaries.map((node) => node.callBuffer('PING')))
}

/** Settles like `work`, or rejects when it has not settled within `budgetMs` and one look at the sockets. */
export function within(budgetMs: number, clock: Clock, work: Promise<unknown>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error(`no answer within ${budgetMs} ms`))
    const cancel = clock.schedule(budgetMs, () => afterTurn(late))
    work.then(resolve, reject).finally(cancel)
  })
}

async function requirePrimary(client: RawClient): Promise<void> {
  let role: unknown
  try {
    role = await client.callBuffer('ROLE')
  } catch (error) {
    // Some services and access lists do not offer it; PING has to do.
    if (error instanceof Error && isReply(error)) return
    throw error
  }
  const [name] = Array.isArray(role) ? role : []
  if (String(name) === 'slave') throw new Error('the server is a replica')
}
