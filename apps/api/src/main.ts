// Hears signals before anything else is loaded: until there is something to close, one ends the process, and with 0.

const signals = ['SIGINT', 'SIGTERM'] as const
const end = () => process.exit(0)
for (const signal of signals) process.on(signal, end)
const { start } = await import('./start.ts')
await start(() => {
  for (const signal of signals) process.off(signal, end)
})

export {}
