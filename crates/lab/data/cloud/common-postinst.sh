#!/bin/sh
set -e
if [ "$1" = configure ]; then
    getent group {{project}} >/dev/null || groupadd --system {{project}}
    getent passwd {{project}} >/dev/null || useradd --system --gid {{project}} --home-dir /var/lib/{{project}} \
        --no-create-home --shell /usr/sbin/nologin {{project}}
    install -d -m 0755 -o {{project}} -g {{project}} /var/lib/{{project}}
    install -d -m 0750 -o {{project}} -g adm /var/log/{{project}}
    chown -R root:{{project}} /etc/{{project}}
    chmod 0750 /etc/{{project}}
fi
