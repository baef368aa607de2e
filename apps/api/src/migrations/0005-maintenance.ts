import type { Migration } from './migration.ts'

export const maintenance: Migration = {
  name: '0005-maintenance',
  up: `
-- Every change of what is closed, and of the banner. Written once, never changed.
create table maintenance_changes (
  -- Milliseconds since the Unix epoch, and larger than that of every change before.
  version bigint primary key check (version > 0),
  at timestamptz not null,
  action text not null check (length(action) <= 40),
  -- What was changed, such as the name of a rule.
  subject text check (length(subject) <= 1000),
  -- Who did it: the id of a user, or the word for who has the token of operators.
  by text check (length(by) <= 1000),
  reason text check (length(reason) <= 1000),
  request_id text check (length(request_id) <= 1000),
  -- Everything that was in force and planned from then on. Text, because it is read again as it was written.
  document text not null check (length(document) <= 8000000)
);

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'what was recorded stays as it is';
end
$$;

create trigger maintenance_changes_stay before update on maintenance_changes for each row
  execute function refuse_change();
`,
  down: `
drop table maintenance_changes;
drop function refuse_change();
`,
}
