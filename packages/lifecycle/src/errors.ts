import createError from '@fastify/error'

/** An option has a value this package cannot work with. Raised at construction and registration. */
export const OptionError = createError<[option: string, expected: string, received: string]>(
  'HOLDFAST_ERR_LIFECYCLE_OPTION',
  'lifecycle option "%s" must be %s, received %s',
  500,
)

/** The plugin is registered already, in this scope or in one around it, or its `lifecycle` belongs to another app. */
export const AlreadyRegisteredError = createError<[]>(
  'HOLDFAST_ERR_LIFECYCLE_ALREADY_REGISTERED',
  'lifecycle is registered already, here, in a scope around this one or in another application; use its app.lifecycle',
  500,
)

/** A phase of the start is entered while another one runs, or after a later one. */
export const PhaseOrderError = createError<[phase: string, other: string]>(
  'HOLDFAST_ERR_LIFECYCLE_PHASE_ORDER',
  'the phase "%s" cannot begin: "%s" runs, or comes later and has been',
  500,
)

/** A phase of the start took longer than its time. */
export const PhaseTimeoutError = createError<[phase: string, timeoutMs: number]>(
  'HOLDFAST_ERR_LIFECYCLE_PHASE_TIMEOUT',
  'the phase "%s" of the start is not over after %d ms; give it more time (phaseTimeoutMs) or find out what it waits for',
  500,
)

/** The service is on its way down: no phase begins any more, and no step is added. */
export const StoppedError = createError<[what: string]>(
  'HOLDFAST_ERR_LIFECYCLE_STOPPED',
  '%s: the service is on its way down',
  503,
)

/** A step of this name exists already. */
export const DuplicateStepError = createError<[kind: string, name: string]>(
  'HOLDFAST_ERR_LIFECYCLE_DUPLICATE_STEP',
  'there is a %s step named "%s" already; give it another name or take the first away',
  500,
)

/** As many steps as there may be. */
export const LimitError = createError<[maximum: number, kind: string]>(
  'HOLDFAST_ERR_LIFECYCLE_LIMIT',
  'there are %d %s steps already, the most there may be',
  500,
)

/** A step of the way down took longer than its time: the reason in the log. */
export const StepTimeoutError = createError<[kind: string, name: string, timeoutMs: number]>(
  'HOLDFAST_ERR_LIFECYCLE_STEP_TIMEOUT',
  'the %s step "%s" is not over after %d ms and is left behind',
  500,
)

/** A check of a deployment took longer than its time: what it found. */
export const CheckTimeoutError = createError<[timeoutMs: number]>(
  'HOLDFAST_ERR_LIFECYCLE_CHECK_TIMEOUT',
  'there was no answer within %d ms',
  500,
)

/** A worker does not start, and so none does. */
export const WorkerFailedError = createError<[place: number, what: string]>(
  'HOLDFAST_ERR_LIFECYCLE_WORKER_FAILED',
  'worker %d %s',
  500,
)

/** The successor of a worker does not serve: the restart ends there. */
export const RestartFailedError = createError<[place: number, what: string]>(
  'HOLDFAST_ERR_LIFECYCLE_RESTART_FAILED',
  'the successor of worker %d %s; it and those after it stay what they were',
  500,
)
