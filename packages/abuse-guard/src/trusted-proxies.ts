import { AddressList } from '@holdfast/footing'
import { checks } from './options.ts'

/**
 * A function for Fastify's `trustProxy` that trusts these addresses and networks (and the words `loopback` and
 * `private`), like the list that Fastify takes itself, at a fraction of its price. Raises
 * `HOLDFAST_ERR_ABUSE_GUARD_OPTION` for an entry that cannot be read.
 */
export function trustedProxies(entries: readonly string[]): (address: string) => boolean {
  if (!Array.isArray(entries)) checks.refuse('trustedProxies', 'a list of addresses and networks', entries)
  const list = new AddressList(entries, (entry) =>
    checks.refuse('trustedProxies', 'a list of addresses and networks, such as 10.0.0.0/8', entry),
  )
  return (address) => list.has(address)
}
