/*
 * What sentinels say about who the master is. Addresses are compared in the words of the sentinels: `host:port`, as
 * they stand before the `natMap` of ioredis.
 */

/** One sentinel's view of the master. The epoch grows with every failover that the sentinels agreed on. */
export interface MasterView {
  readonly address: string
  readonly epoch: number
}

/** Reads the reply to SENTINEL MASTER: names and values in turn. Undefined when it is none. */
export function readMasterView(reply: unknown): MasterView | undefined {
  if (!Array.isArray(reply)) return undefined
  const words = reply.map(String)
  const fieldOf = (name: string) => {
    const at = words.findIndex((word, index) => index % 2 === 0 && word === name)
    return at < 0 ? undefined : words[at + 1]
  }
  const host = fieldOf('ip')
  const port = fieldOf('port')
  const epoch = Number(fieldOf('config-epoch'))
  if (host === undefined || port === undefined || !Number.isSafeInteger(epoch)) return undefined
  return { address: `${host}:${port}`, epoch }
}

/** The new address in a message of `+switch-master`; undefined when it is about another master. */
export function readSwitch(message: string, masterName: string): string | undefined {
  const [name, , , host, port] = message.split(' ')
  return name === masterName && host !== undefined && port !== undefined ? `${host}:${port}` : undefined
}
