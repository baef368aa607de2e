import { settings } from './every-setting.ts'

/** The configuration table in Markdown, as it stands in the README. */
export function renderConfigTable(): string {
  const rows = settings.map(({ name, kind, defaultText, secret, meaning, alias }) => {
    const names = [name, ...(secret ? [`${name}_FILE`] : []), ...(alias === undefined ? [] : [alias])]
      .map((each) => `\`${each}\``)
      .join(', ')
    return `| ${names} | ${kind} | ${defaultText === undefined ? '' : `\`${defaultText}\``} | ${meaning} |`
  })
  return ['| variable | takes | default | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
