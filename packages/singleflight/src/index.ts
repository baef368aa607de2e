export const name: string = 'singleflight'
