#!/bin/sh
exec /opt/keystone/bin/keystone-manage "$@"
