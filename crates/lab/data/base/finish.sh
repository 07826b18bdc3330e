#!/bin/sh
# Turns a fresh Debian root into the image that every node of a lab shares. Runs in the root, without network.
set -eu

# Nodes reach no repository but the lab's own.
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
rm -rf /var/lib/apt/lists/*

# What starts is what the lab says, not what packages enabled when they were installed.
systemctl disable --quiet mariadb.service haproxy.service keepalived.service memcached.service \
    e2scrub_reap.service systemd-pstore.service remote-fs.target getty@.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
systemctl mask --quiet console-getty.service getty.target apt-daily.service apt-daily-upgrade.service
systemctl enable --quiet ssh.service systemd-networkd.service haproxy.service keepalived.service memcached.service
systemctl disable --quiet systemd-networkd-wait-online.service mariadb.socket mariadb-extra.socket 2>/dev/null || true

useradd --create-home --shell /bin/sh --comment 'service account' ostler
rm -f /home/ostler/.bashrc /home/ostler/.profile /home/ostler/.bash_logout
install -d -m 0700 -o ostler -g ostler /home/ostler/.ssh
install -d -m 0700 /root/.ssh
install -d -m 0755 /srv/openstack /var/lib/haproxy
install -d -m 0700 /var/backups/ostler
rm -f /etc/ssh/ssh_host_*
rm -f /etc/resolv.conf
