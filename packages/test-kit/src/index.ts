export const name: string = 'test-kit'
