#!/bin/sh
# Tells keepalived whether this node may hold the virtual address.
read -r process < /run/haproxy.pid && kill -0 "$process"
