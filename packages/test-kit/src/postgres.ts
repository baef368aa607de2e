export const name: string = 'pg'
