#!/bin/sh
# Runs a script in an overlay, in mount and process namespaces that end with it: an interrupted build leaves no mount.
# Arguments: lower folders, upper folder, work folder, root folder, folder of things to see under /run, script, its arguments.
set -eu
lower=$1 upper=$2 work=$3 root=$4 things=$5 script=$6
shift 6
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
cp "$script" "$root/run/script"
for thing in "$things"/*; do
    [ -e "$thing" ] || continue
    place=$root/run/$(basename "$thing")
    thing=$(readlink -f "$thing")
    if [ -d "$thing" ]; then mkdir "$place"; else : > "$place"; fi
    mount --bind "$thing" "$place"
done
if [ -d "$root/run/openstack" ]; then
    mount --bind "$root/run/openstack" "$root/srv/openstack"
fi
if [ -n "${OSTLER_BUILD_ONLINE:-}" ]; then
    # The network is reached as this machine reaches it: its name servers, its certificates.
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
        mount --bind -o ro /etc/ssl/certs "$root/etc/ssl/certs"
    fi
    export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
    if [ -n "${OSTLER_BUILD_SOURCES:-}" ]; then
        printf '%s\n' "$OSTLER_BUILD_SOURCES" > "$root/etc/apt/sources.list"
    fi
fi
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
status=0
chroot "$root" /bin/sh /run/script "$@" || status=$?
if [ -n "${OSTLER_BUILD_ONLINE:-}" ]; then
    rm -f "$root/etc/resolv.conf" "$root/etc/apt/sources.list"
fi
exit "$status"
