// The theme document: its members with their bounds and defaults, in one table from which the type, the
// validation and the default theme come. Every value ends up in a browser's style sheet or markup, so each is
// checked for what it may hold, not for what it may not.

import { nearest } from '../../nearest.ts'

interface Member<T> {
  readonly defaultValue: T
  /** What the value must be, ending the sentence "must be …". */
  readonly must: string
  accepts(value: unknown): boolean
}

function member<T>(defaultValue: T, must: string, accepts: (value: unknown) => boolean): Member<T> {
  return { defaultValue, must, accepts }
}

function line(defaultValue: string, maxLength: number): Member<string> {
  return member(
    defaultValue,
    `one line of 1 to ${maxLength} characters`,
    (value) =>
      typeof value === 'string' &&
      value.length >= 1 &&
      value.length <= maxLength &&
      !/[\p{Cc}\p{Bidi_Control}]/u.test(value),
  )
}

function color(defaultValue: string): Member<string> {
  return member(
    defaultValue,
    'a colour as #rrggbb',
    (value) => typeof value === 'string' && /^#[0-9a-fA-F]{6}$/.test(value),
  )
}

function address(defaultValue: string | null): Member<string | null> {
  return member(
    defaultValue,
    'null, an https URL or a path that begins with one slash, at most 500 characters',
    (value) =>
      value === null ||
      (typeof value === 'string' &&
        value.length <= 500 &&
        !/[\s"'<>\\\p{Cc}]/u.test(value) &&
        (/^\/(?!\/)/.test(value) || URL.parse(value)?.protocol === 'https:')),
  )
}

const MEMBERS = {
  brand_name: line('Holdfast', 80),
  tagline: line('Steady hands in rough markets.', 160),
  logo_url: address(null),
  favicon_url: address(null),
  primary_color: color('#1f4e79'),
  secondary_color: color('#5b7083'),
  accent_color: color('#d98e04'),
  background_color: color('#ffffff'),
  text_color: color('#1b1f23'),
  font_family: member(
    'system-ui, sans-serif',
    'a list of font names (letters, digits, spaces, commas, hyphens), at most 200 characters',
    (value) => typeof value === 'string' && /^[A-Za-z0-9 ,-]{1,200}$/.test(value),
  ),
  corner_radius_px: member(
    6,
    'a whole number from 0 to 64',
    (value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 64,
  ),
  support_email: member<string | null>(
    null,
    'null or an e-mail address of at most 254 characters',
    (value) =>
      value === null ||
      (typeof value === 'string' &&
        value.length <= 254 &&
        /^[^\s@"'<>]+@[^\s@"'<>]+\.[^\s@"'<>]+$/.test(value)),
  ),
  support_url: address(null),
} as const

const NAMES: readonly string[] = Object.keys(MEMBERS)

/** The branding of a tenant, every member present. */
export type Theme = { readonly [K in keyof typeof MEMBERS]: (typeof MEMBERS)[K]['defaultValue'] }

/** A theme as it is stored: members that are left out take the default theme's value. */
export type ThemeDocument = Partial<Theme>

/** What an unknown tenant gets, and what a tenant's document is laid over. */
export const DEFAULT_THEME: Theme = Object.freeze(
  Object.fromEntries(Object.entries(MEMBERS).map(([name, { defaultValue }]) => [name, defaultValue])),
) as Theme

/** Checks a document; answers it, or everything that is wrong with it as sentences. */
export function parseThemeDocument(
  document: unknown,
): { readonly document: ThemeDocument } | { readonly problems: readonly string[] } {
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    return { problems: ['a theme must be a JSON object'] }
  }
  const problems = Object.entries(document).flatMap(([name, value]) => problemOf(name, value))
  return problems.length === 0 ? { document } : { problems: problems.slice(0, NAMES.length) }
}

/** The document laid over the default theme. */
export function completeTheme(document: ThemeDocument): Theme {
  return { ...DEFAULT_THEME, ...document }
}

function problemOf(name: string, value: unknown): string[] {
  if (!Object.hasOwn(MEMBERS, name)) {
    const meant = nearest(name, NAMES)
    return [
      `${JSON.stringify(name.slice(0, 64))} is not a member of a theme${meant === undefined ? '' : `; did you mean ${meant}?`}`,
    ]
  }
  const { accepts, must } = MEMBERS[name as keyof typeof MEMBERS]
  return accepts(value) ? [] : [`${name} must be ${must}`]
}
