#!/bin/sh
set -e
. /usr/share/debconf/confmodule

if [ "$1" = configure ]; then
    getent group keystone >/dev/null || groupadd --system keystone
    getent passwd keystone >/dev/null || useradd --system --gid keystone --home-dir /var/lib/keystone \
        --no-create-home --shell /usr/sbin/nologin keystone
    install -d -m 0755 -o keystone -g keystone /var/lib/keystone
    install -d -m 0750 -o keystone -g adm /var/log/keystone
    [ -e /var/log/keystone/keystone.log ] || install -m 0640 -o keystone -g adm /dev/null /var/log/keystone/keystone.log
    install -d -m 0700 -o keystone -g keystone /etc/keystone/fernet-keys /etc/keystone/credential-keys
    chown root:keystone /etc/keystone /etc/keystone/keystone.conf
    chmod 0750 /etc/keystone
    chmod 0640 /etc/keystone/keystone.conf

    db_get keystone/configure_db
    if [ "$RET" = true ]; then
        setpriv --reuid keystone --regid keystone --init-groups keystone-manage db_sync >&2
    fi
fi
db_stop

if [ "$1" = configure ] || [ "$1" = abort-upgrade ] || [ "$1" = abort-deconfigure ] || [ "$1" = abort-remove ]; then
    deb-systemd-helper unmask keystone.service >/dev/null || true
    if deb-systemd-helper --quiet was-enabled keystone.service; then
        deb-systemd-helper enable keystone.service >/dev/null || true
    else
        deb-systemd-helper update-state keystone.service >/dev/null || true
    fi
    if [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload >/dev/null || true
        if [ -n "$2" ]; then action=restart; else action=start; fi
        deb-systemd-invoke $action keystone.service >/dev/null || true
    fi
fi
