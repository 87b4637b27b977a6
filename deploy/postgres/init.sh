#!/bin/sh
# What the postgres image runs when it makes its data folder.
set -eu
psql --set ON_ERROR_STOP=1 --username postgres \
  --variable owner_password="$OWNER_PASSWORD" \
  --variable service_password="$SERVICE_PASSWORD" \
  --file /postgres/roles.sql
