/** Where it writes what operators should know. */
export interface RunnerLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}
