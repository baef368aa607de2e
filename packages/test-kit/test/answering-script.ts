// Answers what `asked-process.test.ts` asks it.

const settings = JSON.parse(process.argv[2] ?? '{}') as { readonly code?: number; readonly name?: string }
if (settings.code !== undefined) process.exit(settings.code)

process.on('message', ({ id, question }: { id: number; question: { ask: string } }) => {
  process.send?.({ told: question.ask })
  process.send?.({ id, answer: `${settings.name} was asked to ${question.ask}` })
  if (question.ask === 'close') process.disconnect()
})
process.send?.({ id: 0 })
