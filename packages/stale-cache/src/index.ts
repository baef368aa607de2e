export const name: string = 'stale-cache'
