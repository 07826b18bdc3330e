#!/bin/sh
exec /opt/openstack/bin/{{program}} "$@"
