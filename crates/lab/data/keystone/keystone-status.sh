#!/bin/sh
exec /opt/keystone/bin/keystone-status "$@"
