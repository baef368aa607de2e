import { FairQueue, type Place } from './fair-queue.ts'
import type { Criticality } from './request-scope.ts'

/** How long and with how many others one class may wait. */
export interface ClassLimits {
  /** Waiting at once; 0: this class does not wait. */
  readonly maxWaiting: number
  /** Longest wait, in ms; 0: this class does not wait. */
  readonly maxWaitMs: number
}

/** The limits of one pool. */
export interface AdmissionLimits {
  /** Connections of the pool. */
  readonly max: number
  /** More connections, for critical and normal work when `max` are in use. */
  readonly overflow: number
  /** Slots of `max` that only critical work may use. */
  readonly reserve: number
  readonly classes: Readonly<Record<Criticality, ClassLimits>>
  /** Normal work that has waited so long takes turns with critical work, in ms. */
  readonly promoteAfterMs: number
  /** The share of the slots that a tenant may hold while another waits. */
  readonly tenantShare: number
}

/** Why a demand was refused. */
export type Refusal = 'saturated' | 'queue-full' | 'timeout' | 'deadline' | 'open' | 'closed'

/** What somebody asks for. */
export interface Demand {
  readonly criticality: Criticality
  /** Work without a tenant shares one place. */
  readonly tenant?: string | undefined
  /** When the work must have ended. */
  readonly deadlineMs?: number | undefined
}

/** What tenants hold and how many of them wait; kept while one of both is not 0. */
interface Tenant {
  readonly name: string
  inUse: number
  waiting: number
}

/** One demand and what became of it. Only `Admission` writes to it. */
export class Ticket {
  readonly criticality: Criticality
  readonly askedMs: number
  state: 'waiting' | 'granted' | 'released' | 'refused' | 'left' = 'refused'
  /** Set when `state` is `refused`. */
  refusal: Refusal | undefined
  /** How long such work takes at present, in ms; set when it was refused for its deadline. */
  expectedMs = 0
  /** When it was granted or refused. */
  decidedMs: number
  deadlineMs: number
  /** When the wait ends. */
  expiresMs = Number.POSITIVE_INFINITY
  tenant: Tenant | undefined
  place: Place<Tenant, Ticket> | undefined
  /** Called once when the wait of this ticket ends by a decision; must not call back into the admission. */
  onDecided: (() => void) | undefined

  constructor(nowMs: number, criticality: Criticality, deadlineMs: number) {
    this.criticality = criticality
    this.askedMs = nowMs
    this.decidedMs = nowMs
    this.deadlineMs = deadlineMs
  }
}

/** What was counted since the start. */
export interface AdmissionCounts {
  readonly granted: Readonly<Record<Criticality, number>>
  readonly refused: Readonly<Record<Criticality, Readonly<Record<Refusal, number>>>>
}

/** A promoted one takes at most every fourth slot, so that critical work keeps the most. */
const CRITICAL_BEFORE_PROMOTED = 3
/** The weight of a new sample in the expected time of service. */
const SERVICE_WEIGHT = 0.1
/** Without samples the expectation halves in this time, so that refusing everybody cannot keep itself up. */
const SERVICE_HALF_LIFE_MS = 1000

/**
 * Decides who gets a connection, who waits and who is refused. Pure: time comes in as `nowMs`, decisions go out as the
 * state of tickets, and through `onDecided` of those that waited.
 *
 * Guarantees: never more than `max + overflow` granted; work that is not critical never holds more than
 * `max - reserve + overflow`; nobody waits who could go, and no free slot that somebody who waits may use stays free;
 * every queue has its bound; among those of one class tenants take turns, and who holds its share already is passed
 * over while another waits. Leaving costs the same however many wait.
 *
 * Does not: interrupt work that was granted. A tenant's slow queries keep their slots until they end.
 */
export class Admission {
  readonly limits: AdmissionLimits
  readonly #total: number
  readonly #normalSlots: number
  readonly #backgroundSlots: number
  readonly #tenantSlots: Readonly<Record<Criticality, number>>
  readonly #queues: Readonly<Record<Criticality, FairQueue<Tenant, Ticket>>> = {
    critical: new FairQueue(),
    normal: new FairQueue(),
    background: new FairQueue(),
  }
  readonly #tenants = new Map<string, Tenant>()
  readonly #nobody: Tenant = { name: '', inUse: 0, waiting: 0 }
  readonly #inUse: Record<Criticality, number> = { critical: 0, normal: 0, background: 0 }
  readonly #granted: Record<Criticality, number> = { critical: 0, normal: 0, background: 0 }
  readonly #refused: Record<Criticality, Record<Refusal, number>> = {
    critical: noRefusals(),
    normal: noRefusals(),
    background: noRefusals(),
  }
  readonly #service: Record<Criticality, { averageMs: number; atMs: number }> = {
    critical: { averageMs: 0, atMs: 0 },
    normal: { averageMs: 0, atMs: 0 },
    background: { averageMs: 0, atMs: 0 },
  }
  #criticalInARow = 0
  #nextExpiryMs = Number.POSITIVE_INFINITY
  #closed = false

  constructor(limits: AdmissionLimits) {
    this.limits = limits
    const { max, overflow, reserve, tenantShare } = limits
    this.#total = max + overflow
    this.#normalSlots = max - reserve + overflow
    this.#backgroundSlots = max - reserve
    this.#tenantSlots = {
      critical: Math.ceil(tenantShare * this.#total),
      normal: Math.ceil(tenantShare * this.#normalSlots),
      background: Math.ceil(tenantShare * this.#backgroundSlots),
    }
  }

  /** Slots granted and not yet released. */
  get inUse(): number {
    return this.#inUse.critical + this.#inUse.normal + this.#inUse.background
  }

  /** Slots held by work that is not critical. */
  get inUseByOthers(): number {
    return this.#inUse.normal + this.#inUse.background
  }

  /** How many wait, of all classes. */
  get waiting(): number {
    const { critical, normal, background } = this.#queues
    return critical.length + normal.length + background.length
  }

  /** Tenants that are remembered: at most one for every slot and every place in a queue. */
  get tenants(): number {
    return this.#tenants.size
  }

  /** No ticket expires before; `expire()` must be called then. `Infinity`: nobody waits. */
  get nextExpiryMs(): number {
    return this.#nextExpiryMs
  }

  /** How many of this class wait. */
  waitingOf(criticality: Criticality): number {
    return this.#queues[criticality].length
  }

  /** How many of this class hold a slot. */
  inUseOf(criticality: Criticality): number {
    return this.#inUse[criticality]
  }

  /** The longest wait at present, in ms. */
  longestWaitMs(nowMs: number): number {
    let oldestMs = nowMs
    for (const queue of Object.values(this.#queues)) {
      if (queue.oldest !== undefined) oldestMs = Math.min(oldestMs, queue.oldest.value.askedMs)
    }
    return nowMs - oldestMs
  }

  /** What was granted and refused since the start. */
  counts(): AdmissionCounts {
    const { critical, normal, background } = this.#refused
    return {
      granted: { ...this.#granted },
      refused: { critical: { ...critical }, normal: { ...normal }, background: { ...background } },
    }
  }

  /** How long work of this class holds a slot at present, in ms; halves every second without samples. */
  expectedServiceMs(criticality: Criticality, nowMs: number): number {
    const { averageMs, atMs } = this.#service[criticality]
    return averageMs * 2 ** (-Math.max(0, nowMs - atMs) / SERVICE_HALF_LIFE_MS)
  }

  /** Whether a demand of this class that comes now would be refused at once. Says nothing about its deadline. */
  wouldRefuse(criticality: Criticality): boolean {
    if (this.#closed) return true
    if (this.#maySlot(criticality)) return false
    const { maxWaiting, maxWaitMs } = this.limits.classes[criticality]
    return maxWaitMs <= 0 || this.#queues[criticality].length >= maxWaiting || this.#standsBack(criticality)
  }

  /** Decides at once, or lets the ticket wait; its `onDecided` hears of it later then. */
  request(nowMs: number, demand: Demand): Ticket {
    const { criticality, deadlineMs = Number.POSITIVE_INFINITY } = demand
    const ticket = new Ticket(nowMs, criticality, deadlineMs)
    if (this.#closed) return this.#refuse(nowMs, ticket, 'closed')
    let mustStartByMs = Number.POSITIVE_INFINITY
    if (deadlineMs !== Number.POSITIVE_INFINITY) {
      ticket.expectedMs = this.expectedServiceMs(criticality, nowMs)
      mustStartByMs = deadlineMs - ticket.expectedMs
      if (mustStartByMs < nowMs || deadlineMs <= nowMs) return this.#refuse(nowMs, ticket, 'deadline')
    }
    if (this.#maySlot(criticality)) {
      ticket.tenant = this.#tenant(demand.tenant)
      this.#grant(nowMs, ticket)
      return ticket
    }
    return this.#wait(nowMs, ticket, demand.tenant, mustStartByMs)
  }

  /** Gives a slot back, and hands it on. `ticket` must have been granted; a second call does nothing. */
  release(nowMs: number, ticket: Ticket): void {
    if (ticket.state !== 'granted') return
    ticket.state = 'released'
    this.#inUse[ticket.criticality] -= 1
    if (ticket.tenant !== undefined) {
      ticket.tenant.inUse -= 1
      this.#forget(ticket.tenant)
    }
    const service = this.#service[ticket.criticality]
    const heldMs = nowMs - ticket.decidedMs
    service.averageMs += (heldMs - service.averageMs) * (service.averageMs === 0 ? 1 : SERVICE_WEIGHT)
    service.atMs = nowMs
    if (this.waiting > 0) this.#handOn(nowMs)
  }

  /** Leaves the queue; false when the ticket does not wait any more. */
  leave(nowMs: number, ticket: Ticket): boolean {
    if (ticket.state !== 'waiting') return false
    this.#unqueue(ticket)
    ticket.state = 'left'
    ticket.decidedMs = nowMs
    return true
  }

  /** Refuses those whose wait is over. Call it at `nextExpiryMs`; earlier and later calls do no harm. */
  expire(nowMs: number): void {
    if (nowMs < this.#nextExpiryMs) return
    this.#nextExpiryMs = Number.POSITIVE_INFINITY
    for (const queue of Object.values(this.#queues)) {
      let place = queue.oldest
      while (place !== undefined) {
        const { newer, value: ticket } = place
        if (ticket.expiresMs <= nowMs) this.#refuseWaiting(nowMs, ticket, this.#lateness(nowMs, ticket))
        else this.#nextExpiryMs = Math.min(this.#nextExpiryMs, ticket.expiresMs)
        place = newer
      }
    }
  }

  /** Refuses everybody who waits. Slots in use stay in use. */
  refuseWaiting(nowMs: number, refusal: 'open' | 'closed'): void {
    for (const queue of Object.values(this.#queues)) {
      for (let place = queue.oldest; place !== undefined; place = queue.oldest) {
        this.#refuseWaiting(nowMs, place.value, refusal)
      }
    }
    this.#nextExpiryMs = Number.POSITIVE_INFINITY
  }

  /** Counts a demand that was refused before it came here. */
  countRefusal(criticality: Criticality, refusal: Refusal): void {
    this.#refused[criticality][refusal] += 1
  }

  /** Refuses everybody who waits and whoever comes from now on. */
  close(nowMs: number): void {
    this.#closed = true
    this.refuseWaiting(nowMs, 'closed')
  }

  /** Background work steps back for whoever waits. */
  #standsBack(criticality: Criticality): boolean {
    return criticality === 'background' && this.#queues.critical.length + this.#queues.normal.length > 0
  }

  // By the guarantee that nobody waits who could go, a slot that is free for a class has no one waiting for it.
  #maySlot(criticality: Criticality): boolean {
    const { critical, normal, background } = this.#inUse
    const others = normal + background
    if (critical + others >= this.#total) return false
    if (criticality === 'critical') return true
    return others < (criticality === 'normal' ? this.#normalSlots : this.#backgroundSlots)
  }

  #wait(nowMs: number, ticket: Ticket, name: string | undefined, mustStartByMs: number): Ticket {
    const { criticality } = ticket
    const { maxWaiting, maxWaitMs } = this.limits.classes[criticality]
    if (maxWaitMs <= 0 || maxWaiting <= 0 || this.#standsBack(criticality)) {
      return this.#refuse(nowMs, ticket, 'saturated')
    }
    const tenant = this.#tenant(name)
    const queue = this.#queues[criticality]
    if (queue.length >= maxWaiting && !this.#makeRoom(nowMs, queue, tenant)) {
      this.#forget(tenant)
      return this.#refuse(nowMs, ticket, 'queue-full')
    }
    ticket.state = 'waiting'
    ticket.tenant = tenant
    ticket.expiresMs = Math.min(nowMs + maxWaitMs, mustStartByMs)
    ticket.place = queue.push(tenant, ticket)
    tenant.waiting += 1
    this.#nextExpiryMs = Math.min(this.#nextExpiryMs, ticket.expiresMs)
    return ticket
  }

  /** The longest line gives up its last place to a tenant that would still have fewer. */
  #makeRoom(nowMs: number, queue: FairQueue<Tenant, Ticket>, tenant: Tenant): boolean {
    const longest = queue.lastOfLongest()
    if (longest === undefined || longest.length < queue.lengthOf(tenant) + 2) return false
    this.#refuseWaiting(nowMs, longest.place.value, 'queue-full')
    return true
  }

  #handOn(nowMs: number): void {
    for (let ticket = this.#pick(nowMs); ticket !== undefined; ticket = this.#pick(nowMs)) {
      this.#dequeued(ticket)
      if (ticket.expiresMs <= nowMs) {
        this.#refuse(nowMs, ticket, this.#lateness(nowMs, ticket))
        this.#forgetTenantOf(ticket)
      } else {
        this.#grant(nowMs, ticket)
      }
      ticket.onDecided?.()
    }
  }

  /** Takes the one who is next out of its queue, when there is a slot for it. */
  #pick(nowMs: number): Ticket | undefined {
    const { critical, normal, background } = this.#queues
    if (critical.length > 0 && this.#maySlot('critical')) {
      const oldest = normal.oldest
      const promoted =
        oldest !== undefined &&
        nowMs - oldest.value.askedMs >= this.limits.promoteAfterMs &&
        this.#maySlot('normal')
      if (!promoted || this.#criticalInARow < CRITICAL_BEFORE_PROMOTED) {
        this.#criticalInARow = promoted ? this.#criticalInARow + 1 : 0
        return critical.next((tenant) => tenant.inUse >= this.#tenantSlots.critical)
      }
      this.#criticalInARow = 0
      normal.remove(oldest)
      return oldest.value
    }
    if (normal.length > 0 && this.#maySlot('normal')) {
      return normal.next((tenant) => tenant.inUse >= this.#tenantSlots.normal)
    }
    if (background.length > 0 && this.#maySlot('background')) {
      return background.next((tenant) => tenant.inUse >= this.#tenantSlots.background)
    }
    return undefined
  }

  #grant(nowMs: number, ticket: Ticket): void {
    ticket.state = 'granted'
    ticket.decidedMs = nowMs
    this.#inUse[ticket.criticality] += 1
    this.#granted[ticket.criticality] += 1
    if (ticket.tenant !== undefined) ticket.tenant.inUse += 1
  }

  #refuse(nowMs: number, ticket: Ticket, refusal: Refusal): Ticket {
    ticket.state = 'refused'
    ticket.refusal = refusal
    ticket.decidedMs = nowMs
    this.#refused[ticket.criticality][refusal] += 1
    return ticket
  }

  #refuseWaiting(nowMs: number, ticket: Ticket, refusal: Refusal): void {
    this.#unqueue(ticket)
    this.#refuse(nowMs, ticket, refusal)
    ticket.onDecided?.()
  }

  #unqueue(ticket: Ticket): void {
    if (ticket.place !== undefined) this.#queues[ticket.criticality].remove(ticket.place)
    this.#dequeued(ticket)
    this.#forgetTenantOf(ticket)
  }

  #dequeued(ticket: Ticket): void {
    ticket.place = undefined
    if (ticket.tenant !== undefined) ticket.tenant.waiting -= 1
  }

  #lateness(nowMs: number, ticket: Ticket): Refusal {
    return ticket.deadlineMs - ticket.expectedMs <= nowMs ? 'deadline' : 'timeout'
  }

  #tenant(name: string | undefined): Tenant {
    if (name === undefined || name === '') return this.#nobody
    let tenant = this.#tenants.get(name)
    if (tenant === undefined) {
      tenant = { name, inUse: 0, waiting: 0 }
      this.#tenants.set(name, tenant)
    }
    return tenant
  }

  #forgetTenantOf(ticket: Ticket): void {
    if (ticket.tenant !== undefined) this.#forget(ticket.tenant)
  }

  #forget(tenant: Tenant): void {
    if (tenant.inUse === 0 && tenant.waiting === 0) this.#tenants.delete(tenant.name)
  }
}

function noRefusals(): Record<Refusal, number> {
  return { saturated: 0, 'queue-full': 0, timeout: 0, deadline: 0, open: 0, closed: 0 }
}
