/*
 * What an error reply of Redis says about Redis. Most belong to the caller (a Lua error, WRONGTYPE, OOM): Redis is
 * well and answers fast. Some say that this server, or the cluster, serves nobody at present.
 */

/*
 * A script may answer in any words, also `BUSY the seat is taken`. The server's own are known by what follows the
 * code; its name in them differs (Redis, Valkey, KeyDB).
 */

/** Replies by which a server says that it cannot be used; they are given before anything has been executed. */
const unusable =
  /^(LOADING \S+ is loading|BUSY \S+ is busy|READONLY You can't write|MASTERDOWN Link with|CLUSTERDOWN (The cluster|Hash slot)|NOAUTH (Authentication|HELLO))/

/** Whether the server that answered so is of no use for any caller. */
export function saysUnusable(message: string): boolean {
  return unusable.test(message) || saysInMotion(message)
}

/** Of these, those that waiting does not mend. */
const elsewhere = /^(READONLY|MASTERDOWN|CLUSTERDOWN|NOAUTH)/

/** Whether the connection leads to the wrong server, or to one that is leaving: another one has to be made. */
export function saysElsewhere(message: string): boolean {
  return (unusable.test(message) && elsewhere.test(message)) || saysInMotion(message)
}

/** Whether Redis does not know the script; nothing has been executed. */
export function saysUnknownScript(message: string): boolean {
  return message.startsWith('NOSCRIPT No matching script')
}

/** Whether this error is a reply of Redis, and not the client library's about its connection. */
export function isReply(error: Error): boolean {
  return error.name === 'ReplyError'
}

/** ioredis gives up after so many MOVED: the topology is in motion. */
function saysInMotion(message: string): boolean {
  return message.startsWith('Too many Cluster redirections')
}
