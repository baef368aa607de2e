const MAX_LENGTH = 500

/** What is told to whoever asked: one line of at most 500 characters, whole Unicode, and nothing that turns text around. */
export function oneLine(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\p{Bidi_Control}]+/gu, ' ')
    .slice(0, MAX_LENGTH)
    .toWellFormed()
}
