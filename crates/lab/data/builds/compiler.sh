#!/bin/sh
# Adds a C compiler to an overlay of the image, for the few pins that come without a wheel.
set -eu
apt-get update -qq
apt-get install -y -qq --no-install-recommends gcc libc6-dev libssl-dev python3-dev
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
