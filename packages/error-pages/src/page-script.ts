/**
 * What runs in the page: counts down, and enables the button that was disabled until then. Without it a link does the
 * same, and the sentence with the time stands still. It reads one attribute of the page and writes text only.
 */
export const PAGE_SCRIPT = `'use strict'
{
  const byId = (id) => document.getElementById(id)
  const [button, link, wait, left, spoken] = ['again', 'again-link', 'wait', 'left', 'spoken'].map(byId)
  if (button !== null) {
    if (link !== null) link.remove()
    button.hidden = false
    button.addEventListener('click', () => location.reload())
    if (wait === null) button.disabled = false
    else {
      const end = Date.now() + Number(wait.dataset.seconds) * 1000
      const clock = (seconds) => {
        const parts = []
        let rest = seconds
        for (const [name, size] of [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]]) {
          const count = Math.floor(rest / size)
          rest -= count * size
          if (count > 0 || parts.length > 0) parts.push(count + '\\u00a0' + name)
        }
        return parts.slice(0, 2).join(' ')
      }
      let timer
      const tick = () => {
        clearTimeout(timer)
        const ms = end - Date.now()
        if (ms > 0) {
          left.textContent = 'in ' + clock(Math.ceil(ms / 1000))
          timer = setTimeout(tick, ms % 1000 || 1000)
        } else if (button.disabled) {
          left.textContent = 'now'
          button.disabled = false
          spoken.textContent = 'You can try again now.'
        }
      }
      tick()
      document.addEventListener('visibilitychange', tick)
    }
  }
}
`
