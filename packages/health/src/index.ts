export const name: string = 'health'
