#!/bin/sh
set -e
. /usr/share/debconf/confmodule
db_input medium keystone/configure_db || true
db_go || true
