/** The load generator's process. */
import { HttpLoad, type LoadTarget } from './http-load.ts'
import { type MixPlan, type MixResult, prepareMix } from './mixed-load.ts'
import { answerParent } from './parent.ts'

const load = new HttpLoad()
let driveMix: (() => Promise<MixResult>) | undefined
answerParent({
  open: (argument) => {
    const { port, connections } = argument as { port: number; connections: number }
    return load.open(port, connections)
  },
  drive: (target) => load.drive(target as LoadTarget),
  prepareMix: async (plan) => {
    driveMix = await prepareMix(plan as MixPlan)
  },
  driveMix: () => driveMix?.(),
  close: () => load.close(),
})
// The IPC channel does not keep the process alive (see parent.ts), and between slices nothing else might.
setInterval(() => {}, 60_000)
