/* Sessions in Redis: a hash each, read by one call, written by one script. */
import type { RedisArgument, RedisScript } from '@holdfast/redis-guard'
import type { Address } from './secret-ring.ts'
import {
  CLAIMED,
  CONFLICT,
  commitScript,
  createScript,
  destroyScript,
  GONE,
  listScript,
  REFUSED,
  readScript,
  revokeAllScript,
  revokeScript,
  SEPARATOR,
  swapScript,
  touchScript,
} from './session-scripts.ts'
import type {
  Change,
  Committed,
  Created,
  ListedSession,
  Replaced,
  RevokeAll,
  SessionDraft,
  SessionRecord,
  SessionRedis,
  SessionStore,
  Swap,
  Swapped,
  UserBound,
} from './store.ts'

const PACKAGE = 'redis-session'
const FIELD = 'd:'
const SAMPLE_TAG = '0000'

/** A login that happened without Redis. */
export interface Claim {
  /** The hash of its id. */
  readonly hash: string
}

/** What this store needs of Redis. */
export type StoreRedis = Pick<SessionRedis, 'available' | 'run' | 'call' | 'key'>

export class RedisStore implements SessionStore {
  readonly #redis: StoreRedis
  /** What is before the tag in every key, and behind it in those of sessions. Neither tag nor hash has to be escaped. */
  readonly #beforeTag: string
  readonly #behindTag: string
  /** What a read of these fields asks for: the fields are the same at every request. */
  #asked: { readonly names: readonly string[]; readonly all: readonly string[] } | undefined

  constructor(redis: StoreRedis) {
    this.#redis = redis
    const [before = '', behind = ''] = redis.key(PACKAGE, SAMPLE_TAG, 's', '').split(`{${SAMPLE_TAG}}`)
    this.#beforeTag = `${before}{`
    this.#behindTag = `}${behind}`
  }

  get available(): boolean {
    return this.#redis.available
  }

  load(address: Address, names?: readonly string[]): Promise<SessionRecord | undefined> {
    const key = this.#keyOf(address)
    if (names === undefined) return this.#redis.call('HGETALL', key).then(recordOfHash)
    return this.#redis.run(readScript, [key], this.#askFor(names)).then((text) => recordOfText(text, names))
  }

  async create(
    address: Address,
    user: Address | undefined,
    draft: SessionDraft,
    bound: UserBound,
    replaced?: Replaced,
  ): Promise<Created> {
    const created = await this.#create(address, user, draft, bound, replaced)
    return created.outcome === 'claimed' ? { outcome: 'gone' } : created
  }

  /**
   * Makes the session of a login that happened without Redis, once: not when it has ended meanwhile. `claimed` says that
   * another request has done so a moment ago, under this address.
   */
  claim(
    address: Address,
    user: Address,
    draft: SessionDraft,
    bound: UserBound,
    claim: Claim,
  ): Promise<Created | { readonly outcome: 'claimed' }> {
    return this.#create(address, user, draft, bound, undefined, claim)
  }

  async #create(
    address: Address,
    user: Address | undefined,
    draft: SessionDraft,
    { maxPerUser, whenFull }: UserBound,
    replaced: Replaced | undefined,
    claim?: Claim,
  ): Promise<Created | { readonly outcome: 'claimed' }> {
    // A session of another tag is in another slot: it ends by a call of its own, on the way at the same time, or
    // before when the new one depends on it.
    const elsewhere = replaced !== undefined && replaced.address.tag !== address.tag ? replaced : undefined
    const near = elsewhere === undefined ? replaced : undefined
    const destroying = elsewhere && this.#destroy(elsewhere.address, 'replaced', elsewhere.ifVersion)
    if (elsewhere?.mustExist === true) {
      const destroyed = await destroying
      if (destroyed !== 1) return { outcome: destroyed === CONFLICT ? 'conflict' : 'gone' }
    }
    const key = this.#keyOf(address)
    const { idleMs, absolute, authenticated } = draft
    const goesOn = 'atMs' in absolute
    const args = [
      user?.hash ?? '',
      idleMs,
      goesOn ? absolute.atMs : '',
      goesOn ? '' : absolute.afterMs,
      goesOn ? absolute.createdMs : '',
      near?.address.hash ?? '',
      near?.mustExist === true ? '1' : '',
      near?.ifVersion ?? '',
      maxPerUser,
      whenFull === 'deny' ? '1' : '',
      typeof authenticated === 'object' ? authenticated.atMs : authenticated ? '1' : '',
      claim?.hash ?? '',
    ]
    if (draft.principal !== undefined) args.push('p', draft.principal)
    if (draft.device !== undefined) args.push('w', draft.device)
    for (const [name, text] of draft.fields) args.push(FIELD + name, text)
    const keys = [key, near === undefined ? key : this.#keyOf(near.address)]
    const creating = this.#run(createScript, keys, address, args)
    // The old session must not outlive the new one, so both are waited for.
    const [[first, ...ended]] = await Promise.all([creating, destroying])
    if (Number(first) === GONE) return { outcome: 'gone' }
    if (Number(first) === REFUSED) return { outcome: 'full' }
    if (Number(first) === CONFLICT) return { outcome: 'conflict' }
    if (Number(first) === CLAIMED) return { outcome: 'claimed' }
    return { outcome: 'created', nowMs: Number(first), ended: ended.map(String) }
  }

  async commit(address: Address, change: Change): Promise<Committed> {
    const { set, remove, ifVersion, maxBytes, maxFields } = change
    const args: RedisArgument[] = [ifVersion ?? '', maxBytes, maxFields, remove.length]
    for (const name of remove) args.push(FIELD + name)
    for (const [name, text] of set) args.push(FIELD + name, text)
    const answer = await this.#run(commitScript, [this.#keyOf(address)], address, args)
    const [version = GONE, nowMs = 0, bytes = 0] = answer
    if (version === GONE) return { outcome: 'gone' }
    if (version === CONFLICT) return { outcome: 'conflict' }
    if (version === REFUSED) return { outcome: 'too-large' }
    return { outcome: 'done', version, nowMs, bytes }
  }

  async swap(address: Address, { name, from, to, maxBytes, maxFields }: Swap): Promise<Swapped> {
    const args = [FIELD + name, from ?? '', to ?? '', maxBytes, maxFields]
    const answer = await this.#run(swapScript, [this.#keyOf(address)], address, args)
    const version = Number(answer[0])
    if (version === GONE) return { outcome: 'gone' }
    if (version === REFUSED) return { outcome: 'too-large' }
    if (version === CONFLICT) return { outcome: 'differs', present: String(answer[1]) || undefined }
    return { outcome: 'done', version, nowMs: Number(answer[1]), bytes: Number(answer[2]) }
  }

  async has(address: Address): Promise<boolean> {
    return Number(await this.#redis.call('EXISTS', this.#keyOf(address))) === 1
  }

  touch(address: Address): Promise<boolean> {
    return this.#run(touchScript, [this.#keyOf(address)], address)
  }

  async destroy(address: Address): Promise<boolean> {
    return (await this.#destroy(address, 'ended')) === 1
  }

  async list(user: Address): Promise<readonly ListedSession[]> {
    const found = await this.#run(listScript, [this.#listOf(user)], user)
    return found.map(([hash, created, touched, absolute, authenticated, device]) => ({
      hash: String(hash),
      createdMs: Number(created),
      touchedMs: Number(touched),
      absoluteAtMs: Number(absolute),
      authenticatedMs: authenticated === null ? undefined : Number(authenticated),
      device: device === null ? undefined : String(device),
    }))
  }

  revoke(user: Address, hash: string): Promise<boolean> {
    const address = { tag: user.tag, hash }
    return this.#run(revokeScript, [this.#keyOf(address), this.#listOf(user)], address, [user.hash])
  }

  revokeAll(user: Address, { except, createdUntilMs }: RevokeAll): Promise<readonly string[]> {
    return this.#run(revokeAllScript, [this.#listOf(user)], user, [except ?? '', createdUntilMs ?? ''])
  }

  #destroy(address: Address, reason: 'ended' | 'replaced', ifVersion?: number): Promise<number> {
    return this.#run(destroyScript, [this.#keyOf(address)], address, [reason, ifVersion ?? ''])
  }

  /** The first arguments of every script say how the keys of this slot begin. */
  #run<Result>(
    script: RedisScript<Result>,
    keys: readonly string[],
    { tag, hash }: Address,
    args: readonly RedisArgument[] = [],
  ): Promise<Result> {
    const first = [`${this.#redis.key(PACKAGE, tag, 's')}:`, `${this.#redis.key(PACKAGE, tag, 'u')}:`, hash]
    return this.#redis.run(script, keys, [...first, ...args])
  }

  #askFor(names: readonly string[]): readonly string[] {
    if (this.#asked?.names !== names) {
      this.#asked = { names, all: [...ownNames, ...names.map((name) => FIELD + name)] }
    }
    return this.#asked.all
  }

  #keyOf({ tag, hash }: Address): string {
    return this.#beforeTag + tag + this.#behindTag + hash
  }

  #listOf({ tag, hash }: Address): string {
    return this.#redis.key(PACKAGE, tag, 'u', hash)
  }
}

/** What a read needs of what is no data. */
const ownNames = ['c', 't', 'i', 'a', 'v', 'p', 'f']

/** What `readScript` answers; undefined for a session that is not there, or a hash that is none. */
function recordOfText(text: string, names: readonly string[]): SessionRecord | undefined {
  const values = text.split(SEPARATOR)
  // A value with a separator of its own was not put there by this package, and would move all that follow.
  if (values.length !== ownNames.length + names.length) return undefined
  const [c, t, i, a, v, p, f] = values
  const fields = new Map<string, string>()
  for (let at = 0; at < names.length; at += 1) {
    const value = values[ownNames.length + at]
    if (value) fields.set(names[at] as string, value)
  }
  return recordOf({ c, t, i, a, v, p, f }, fields)
}

/** What a whole hash says. */
function recordOfHash(reply: unknown): SessionRecord | undefined {
  const pairs: readonly unknown[] = Array.isArray(reply) ? reply : []
  const fields = new Map<string, string>()
  const own: Record<string, unknown> = {}
  for (let at = 0; at < pairs.length; at += 2) {
    const name = String(pairs[at])
    if (name.startsWith(FIELD)) fields.set(name.slice(FIELD.length), String(pairs[at + 1]))
    else own[name] = pairs[at + 1]
  }
  return recordOf(own, fields)
}

function recordOf(
  { c, t, i, a, v, p, f, w }: Readonly<Record<string, unknown>>,
  fields: ReadonlyMap<string, string>,
): SessionRecord | undefined {
  if (!c || !t || !i || !a) return undefined
  return {
    version: Number(v),
    createdMs: Number(c),
    touchedMs: Number(t),
    idleMs: Number(i),
    absoluteAtMs: Number(a),
    principal: p ? String(p) : undefined,
    authenticatedMs: f ? Number(f) : undefined,
    device: w ? String(w) : undefined,
    fields,
  }
}
