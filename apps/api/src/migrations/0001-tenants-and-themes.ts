import type { Migration } from './migration.ts'

export const tenantsAndThemes: Migration = {
  name: '0001-tenants-and-themes',
  up: `
create table tenants (
  id bigint generated always as identity primary key,
  slug text not null unique check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name text not null check (length(name) between 1 and 100),
  status text not null default 'active' check (status in ('active', 'suspended')),
  created_at timestamptz not null default now()
);

create table themes (
  slug text not null references tenants (slug) on update cascade on delete cascade
    check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  theme jsonb not null check (jsonb_typeof(theme) = 'object'),
  version bigint not null,
  updated_at timestamptz not null,
  -- The version rides along in the index, so that the sweep for changes never reads the documents.
  primary key (slug) include (version)
);

create sequence themes_version_seq owned by themes.version;

-- Whatever changes a theme, the service, the command line or plain SQL, gives it a new, higher version.
-- The trigger runs with the row locked, so the versions of one theme grow in the order of its commits.
create function themes_bump_version() returns trigger language plpgsql as $$
begin
  new.version := nextval('themes_version_seq');
  new.updated_at := clock_timestamp();
  return new;
end
$$;

create trigger themes_bump_version before insert or update on themes
  for each row execute function themes_bump_version();
`,
  down: `
drop table themes;
drop function themes_bump_version();
drop table tenants;
`,
}
