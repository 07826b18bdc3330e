#!/bin/sh
set -e
if [ "$1" = purge ]; then
    rm -rf /var/log/{{project}}
fi
