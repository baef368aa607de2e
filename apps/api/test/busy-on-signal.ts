// For `NODE_OPTIONS=--import`: a process that hears SIGUSR2 does nothing else, for some seconds or, with BUSY=ever, until
// somebody kills it, as with a loop that does not end.

const BUSY_MS = process.env['BUSY'] === 'ever' ? Number.POSITIVE_INFINITY : 20_000

process.on('SIGUSR2', () => {
  const sinceMs = performance.now()
  while (performance.now() - sinceMs < BUSY_MS);
})
