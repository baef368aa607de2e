/** How the page looks: light and dark, from a narrow phone to a wide screen, without a font or an image of its own. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; --ground: #f4f5f7; --card: #fff; --text: #1c2230; --quiet: #566074; --line: #d9dde5; --accent: #1a5fd0; --on-accent: #fff; --soft: #eef3fc }
@media screen and (prefers-color-scheme: dark) {
  :root { --ground: #12151c; --card: #1b2029; --text: #eef1f6; --quiet: #a7b0c0; --line: #333b49; --accent: #8ab4ff; --on-accent: #0d1a33; --soft: #222c3f }
}
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; min-height: 100dvh; display: grid; grid-template-rows: auto 1fr; background: var(--ground); color: var(--text); font: 1rem/1.55 system-ui, sans-serif }
header { padding: 1.25rem clamp(1rem, 4vw, 2.5rem); font-weight: 600 }
header p { margin: 0; overflow-wrap: anywhere }
main { align-self: start; width: min(38rem, 100% - 2rem); margin-inline: auto; margin-block-start: clamp(0rem, 8vh, 6rem); margin-block-end: 2rem; padding: clamp(1.25rem, 5vw, 2.5rem); background: var(--card); border: 1px solid var(--line); border-radius: 0.75rem }
.status { margin: 0; color: var(--quiet); font-size: 0.875rem; letter-spacing: 0.02em }
h1 { margin: 0.25rem 0 0.75rem; font-size: clamp(1.5rem, 1.2rem + 1.5vw, 2rem); line-height: 1.2; text-wrap: balance; overflow-wrap: anywhere; hyphens: auto }
p { margin: 0 0 1rem; overflow-wrap: anywhere }
.detail { padding: 0.75rem 1rem; background: var(--soft); border-inline-start: 3px solid var(--accent); border-radius: 0.25rem }
.wait { font-variant-numeric: tabular-nums }
.actions { display: flex; flex-wrap: wrap; gap: 0.5rem 1.25rem; align-items: center; margin-block: 1.5rem }
a { color: var(--accent); text-underline-offset: 0.15em }
.button { display: inline-block; min-height: 2.75rem; padding: 0.6rem 1.25rem; border: 1px solid var(--accent); border-radius: 0.5rem; background: var(--accent); color: var(--on-accent); font: inherit; font-weight: 600; line-height: 1.4; text-decoration: none; cursor: pointer }
.button:disabled { background: transparent; border-color: var(--line); color: var(--quiet); cursor: default }
.button[hidden] { display: none }
.link { padding-block: 0.6rem }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; border-radius: 0.25rem }
footer { padding-block-start: 1rem; border-block-start: 1px solid var(--line); color: var(--quiet); font-size: 0.875rem }
footer p { margin: 0 }
code { display: inline-block; max-width: 100%; font: 0.9em ui-monospace, monospace; color: var(--text); user-select: all }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }
@media (max-width: 30rem) { .actions > * { flex: 1 1 100%; text-align: center } }
@media print {
  :root { color-scheme: light }
  body { min-height: 0; background: none }
  main { border: 0; margin-block-start: 0 }
  .actions, .wait { display: none }
}
`
