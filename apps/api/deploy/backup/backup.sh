#!/bin/sh
# Keeps the database in a folder of its own, while the service writes on:
#   PGHOST=db PGUSER=holdfast_owner PGDATABASE=holdfast PGPASSFILE=~/.pgpass sh backup.sh /var/backups/holdfast
#
# Whom to ask stands in libpq's own variables, so that no password is in a list of processes. Ask PostgreSQL itself: a
# dump needs a session, which PgBouncer does not give. The folder is complete or is not there: its name ends in
# `.part` until all of it was written and read back. Prints its path. Needs pg_dump of the server's version, or newer.
set -eu
umask 077

[ $# -eq 1 ] || { echo "usage: sh backup.sh <folder for backups>" >&2; exit 2; }
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
final="$1/holdfast-$(date -u +%Y%m%dT%H%M%SZ)"
part="$final.part"
mkdir -p "$1"
mkdir "$part"
fail() { echo "no backup was made: $1" >&2; rm -rf "$part"; exit 1; }
trap 'fail "interrupted"' INT TERM HUP

# One snapshot for the dump and for the list of what must be in it: a transaction exports it, and is open until both are
# done. A role may have time limits for requests; this is none.
DUMP="$part/database.dump" DONE="$part/dumped" psql --no-psqlrc --quiet --no-align --tuples-only \
  --set=ON_ERROR_STOP=1 --set=here="$here" --set=contents="$part/contents" <<'SQL' || fail "psql failed"
begin isolation level repeatable read, read only;
set local statement_timeout = 0;
set local lock_timeout = 0;
set local idle_in_transaction_session_timeout = 0;
select pg_export_snapshot() as snapshot \gset
\setenv SNAPSHOT :snapshot
\! pg_dump --format=custom --no-owner --snapshot="$SNAPSHOT" --file="$DUMP" && touch "$DONE"
\set list :here '/contents.sql'
\o :contents
\i :list
\o
commit;
SQL
[ -e "$part/dumped" ] || fail "pg_dump failed"
rm "$part/dumped"
# A service whose migrations are not there has nothing to be kept.
grep -q '^table|migration_history|' "$part/contents" || fail "this is not the database of the service"

# Read to its end: what cannot be read now could not be read in a bad night either.
pg_restore --file=/dev/null "$part/database.dump" || fail "the dump cannot be read"
(cd "$part" && sha256sum database.dump contents >SHA256SUMS)
sync "$part"/* 2>/dev/null || sync
mv "$part" "$final"
echo "$final"
