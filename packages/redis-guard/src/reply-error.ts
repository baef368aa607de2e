/*
 * What an error reply of Redis says about Redis. Most belong to the caller (a Lua error, WRONGTYPE, OOM): Redis is
 * well and answers fast. Some say that this server, or the cluster, serves nobody at present.
 */

/** Replies by which a server says that it cannot be used; they are given before anything has been executed. */
const unusable = new Set(['LOADING', 'READONLY', 'MASTERDOWN', 'CLUSTERDOWN', 'BUSY', 'NOAUTH'])

/** Whether the server that answered so is of no use for any caller. */
export function saysUnusable(message: string): boolean {
  const code = codeOf(message)
  // ioredis gives up after so many MOVED: the topology is in motion.
  return unusable.has(code) || message.startsWith('Too many Cluster redirections')
}

/** Whether the connection leads to the wrong server, or to one that is leaving: another one has to be made. */
export function saysElsewhere(message: string): boolean {
  const code = codeOf(message)
  return code === 'READONLY' || code === 'MASTERDOWN' || code === 'NOAUTH' || saysClusterTrouble(message)
}

/** Whether Redis does not know the script; nothing has been executed. */
export function saysUnknownScript(message: string): boolean {
  return message.startsWith('NOSCRIPT')
}

/** Whether this error is a reply of Redis, and not the client library's about its connection. */
export function isReply(error: Error): boolean {
  return error.name === 'ReplyError'
}

function saysClusterTrouble(message: string): boolean {
  return codeOf(message) === 'CLUSTERDOWN' || message.startsWith('Too many Cluster redirections')
}

function codeOf(message: string): string {
  const end = message.indexOf(' ')
  return end === -1 ? message : message.slice(0, end)
}
