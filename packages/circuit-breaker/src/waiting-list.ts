/** A place in a `WaitingList`; belongs to one list at a time. */
export interface Place<T> {
  readonly value: T
  previous: Place<T> | undefined
  next: Place<T> | undefined
}

/** A queue in order of arrival from which anybody may step out: every method is O(1). */
export class WaitingList<T> {
  #first: Place<T> | undefined
  #last: Place<T> | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  get first(): T | undefined {
    return this.#first?.value
  }

  push(value: T): Place<T> {
    const place: Place<T> = { value, previous: this.#last, next: undefined }
    if (this.#last === undefined) this.#first = place
    else this.#last.next = place
    this.#last = place
    this.#size += 1
    return place
  }

  /** Takes a place out, wherever it is. It must be in this list. */
  remove(place: Place<T>): void {
    if (place.previous === undefined) this.#first = place.next
    else place.previous.next = place.next
    if (place.next === undefined) this.#last = place.previous
    else place.next.previous = place.previous
    // A place that outlives its value would lead to the next one, and that to all that came since: the collector, which
    // seldom looks at what is old, would keep every one of their requests.
    place.previous = undefined
    place.next = undefined
    this.#size -= 1
  }
}
