/** The body that the theme rows serve and the cache rows hold: about 1.9 kB of JSON, like a tenant's branding. */
export interface DemoTheme {
  readonly tenant: string
  readonly name: string
  readonly colors: Readonly<Record<string, string>>
  readonly fonts: Readonly<Record<string, string>>
  readonly logo: {
    readonly url: string
    readonly alt: string
    readonly width: number
    readonly height: number
  }
  readonly navigation: readonly { readonly label: string; readonly href: string }[]
  readonly footer: string
}

const COLOR_ROLES = ['primary', 'secondary', 'accent', 'background', 'surface', 'text', 'muted', 'success']
const FONT_ROLES = ['heading', 'body', 'numbers']
const PAGES = [
  'Markets',
  'Live',
  'Football',
  'Tennis',
  'Basketball',
  'My bets',
  'Bots',
  'Trades',
  'Account',
  'Help',
]

export function demoTheme(tenant: string): DemoTheme {
  return {
    tenant,
    name: `${tenant} Trading and Betting`,
    colors: Object.fromEntries(
      COLOR_ROLES.flatMap((role, index) => [
        [role, `#${(0x1f3b57 + index * 4_711).toString(16)}`],
        [`${role}_dark`, `#${(0x0a1622 + index * 3_571).toString(16).padStart(6, '0')}`],
      ]),
    ),
    fonts: Object.fromEntries(FONT_ROLES.map((role) => [role, `"Inter ${role}", system-ui, sans-serif`])),
    logo: {
      url: `https://static.example.com/${tenant}/logo.svg`,
      alt: `${tenant} logo`,
      width: 180,
      height: 48,
    },
    navigation: PAGES.map((label) => ({
      label,
      href: `/${tenant}/${label.toLowerCase().replaceAll(' ', '-')}`,
    })),
    footer:
      `${tenant} is a demonstration operator. Play responsibly; 18 and over. Prices may change at any time.`.repeat(
        8,
      ),
  }
}
