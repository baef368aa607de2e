/** The load generator's process. */
import { drive, type LoadOptions } from './http-load.ts'
import { answerParent } from './parent.ts'

answerParent({ drive: (options) => drive(options as LoadOptions) })
// The IPC channel does not keep the process alive (see parent.ts), and between slices nothing else would.
setInterval(() => {}, 60_000)
