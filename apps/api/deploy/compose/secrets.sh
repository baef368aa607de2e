#!/bin/sh
# Makes the secrets of compose.yaml, once: those that are there stay. Run it from anywhere:
#   sh apps/api/deploy/compose/secrets.sh [folder]
set -eu
umask 077

folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"

# keep <name> <value>: writes a secret that is not there yet.
keep() {
  [ -e "$folder/$1" ] || printf '%s\n' "$2" >"$folder/$1"
}
random() {
  head -c 36 /dev/urandom | base64 | tr '+/' '-_'
}

for name in postgres_password owner_password web_password worker_password stats_password secret_key metrics_token admin_token grafana_password; do
  keep "$name" "$(random)"
done
web=$(cat "$folder/web_password")
owner=$(cat "$folder/owner_password")
worker=$(cat "$folder/worker_password")
stats=$(cat "$folder/stats_password")

keep database_url "postgres://holdfast_web:$web@pgbouncer:6432/holdfast"
keep worker_database_url "postgres://holdfast_worker:$worker@pgbouncer:6432/holdfast_worker"
keep database_migration_url "postgres://holdfast_owner:$owner@postgres:5432/holdfast"
keep pgbouncer_admin_url "postgres://holdfast_stats:$stats@pgbouncer:6432/pgbouncer"
# For PostgreSQL, after roles.sql has made the roles.
keep passwords.sql "alter role holdfast_owner password '$owner';
alter role holdfast_web password '$web';
alter role holdfast_worker password '$worker';"
# For PgBouncer, which proves the same passwords to PostgreSQL.
keep userlist.txt "\"holdfast_web\" \"$web\"
\"holdfast_worker\" \"$worker\"
\"holdfast_stats\" \"$stats\""
# Containers read them as users of their own.
chmod 755 "$folder"
chmod 644 "$folder"/*
echo "the secrets are in $folder"
