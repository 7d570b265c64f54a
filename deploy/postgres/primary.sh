#!/usr/bin/env bash
# What the primary needs once: a role for replicas, which may connect, and a slot for each of them, so that none misses any of the log.
set -euo pipefail
psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -v password="$(cat /run/secrets/replication_password)" <<'SQL'
create role replica replication login password :'password';
select pg_create_physical_replication_slot(name) from unnest(array['replica_1', 'replica_2']) name;
create extension if not exists pg_stat_statements;
SQL
echo 'host replication replica samenet scram-sha-256' >>"$PGDATA/pg_hba.conf"
