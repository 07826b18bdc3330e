# Looks at this node and prints what was asked for, one tagged line for each thing seen. Changes nothing.
# Arguments: NAME=VALUE for each value: facts, packages, units, files, directories, disks, databases, versions.
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
tab=$(printf '\t')

gap() { printf 'gap\t%s\t%s\n' "$1" "$(printf '%s' "$2" | tr '\n\t' '  ')"; }
wants() { case " $facts " in *" $1 "*) return 0 ;; *) return 1 ;; esac }

see_system() {
    printf 'clock\t%s\n' "$now"
    printf 'os\t%s\n' "$(sed -n 's/^PRETTY_NAME=//p' /etc/os-release | tr -d '"')"
    printf 'boot\t%s\n' "$(cat /proc/sys/kernel/random/boot_id)"
    for disk in $disks; do
        place=$disk
        while [ ! -d "$place" ]; do place=${place%/*} place=${place:-/}; done
        timeout 5 df -Pk "$place" | awk -v disk="$disk" 'NR == 2 { printf "disk\t%s\t%s\t%s\n", disk, $4, $2 }'
    done
}

see_packages() {
    command -v dpkg-query > /dev/null || return 0
    # shellcheck disable=SC2086
    dpkg-query -W -f 'package\t${Package}\t${db:Status-Abbrev}\t${Version}\n' $packages 2> /dev/null
    # The list of a package's files is written when it is unpacked. Packages for one architecture carry its name.
    lists=
    for package in $packages; do
        for there in "/var/lib/dpkg/info/$package.list" "/var/lib/dpkg/info/$package:"*.list; do
            [ ! -e "$there" ] || lists="$lists $there"
        done
    done
    # shellcheck disable=SC2086
    [ -z "$lists" ] || stat -c "unpacked$tab%Y$tab%n" $lists | sed 's|/var/lib/dpkg/info/||; s|:[^:]*\.list$||; s|\.list$||'
}

see_units() {
    # shellcheck disable=SC2086
    seen=$(TZ=UTC systemctl show $units 'ostler-*.service' -p Id -p LoadState -p ActiveState -p SubState -p UnitFileState \
        -p MainPID -p ExecMainStartTimestamp -p Result -p ExecMainStatus 2>&1) || {
        gap units "$seen"
        return
    }
    printf '%s\n' "$seen" | sed "s/^/unit$tab/"
}

see_files() {
    there=
    for file in $files; do [ ! -f "$file" ] || there="$there $file"; done
    # shellcheck disable=SC2086
    [ -z "$there" ] || sha256sum -- $there | sed "s/^\([0-9a-f]*\)  /file$tab\1$tab/"
    for directory in $directories; do
        [ -d "$directory" ] || continue
        digest=$(cd "$directory" && find . -type f -print0 | sort -z | xargs -0 -r sha256sum -- | sha256sum | cut -d ' ' -f 1)
        printf 'file\t%s\t%s\n' "$digest" "$directory"
    done
    command -v dpkg-query > /dev/null || return 0
    # shellcheck disable=SC2086
    shipped=$(dpkg-query -W -f '${Conffiles}\n' $packages 2> /dev/null | awk 'NF >= 2 && $2 ~ /^[0-9a-f]{32}$/ && $3 != "obsolete" { print $2 "  " $1 }')
    there=
    for file in $(printf '%s\n' "$shipped" | cut -c 35-); do [ ! -f "$file" ] || there="$there $file"; done
    [ -n "$there" ] || return 0
    printf '%s\n' "$shipped" | sed "s/^/shipped$tab/"
    # shellcheck disable=SC2086
    md5sum -- $there | sed "s/^/found$tab/"
    # shellcheck disable=SC2086
    sha256sum -- $there | sed "s/^\([0-9a-f]*\)  /file$tab\1$tab/"
}

see_database() {
    command -v mariadb > /dev/null || return 0
    statements=
    if wants galera; then
        statements="select concat('galera\t', lower(variable_name), '\t', variable_value) from information_schema.global_status where variable_name in ('wsrep_cluster_status', 'wsrep_cluster_size', 'wsrep_local_state', 'wsrep_ready', 'wsrep_cluster_state_uuid', 'wsrep_last_committed', 'wsrep_local_cached_downto', 'wsrep_local_recv_queue');"
    fi
    # One statement a line: errors come with the number of their line.
    if wants schemas; then
        for database in $databases; do
            statements="$statements
select concat('schema\t${database%%/*}\t', version_num) from \`${database%%/*}\`.\`${database#*/}\`;"
        done
    fi
    { errors=$(printf '%s\n' "$statements" | timeout 10 mariadb --no-auto-rehash --skip-column-names --batch --raw --force --connect-timeout=3 2>&1 1>&4); } 4>&1
    status=$?
    [ -z "$errors" ] || printf '%s\n' "$errors" | sed "s/^/sql-error$tab/"
    [ "$status" -ne 124 ] || printf 'sql-error\tERROR 2013 (HY000): no answer within 10 s\n'
    printf 'sql\t%s\n' "$status"
}

see_proxy() {
    [ -e /etc/haproxy/haproxy.cfg ] && command -v haproxy > /dev/null || return 0
    socket=$(sed -n 's/^[[:space:]]*stats[[:space:]]\{1,\}socket[[:space:]]\{1,\}\([^[:space:]]*\).*/\1/p' /etc/haproxy/haproxy.cfg | sed -n 1p)
    socket=${socket#unix@}
    socket=${socket:-/run/haproxy/admin.sock}
    command -v socat > /dev/null || {
        gap haproxy 'there is no socat on the node'
        return
    }
    if seen=$(printf 'show stat;show servers state\n' | timeout 5 socat -t 3 - "UNIX-CONNECT:$socket" 2>&1); then
        printf '%s\n' "$seen" | sed "s/^/proxy$tab/"
    else
        gap haproxy "$socket does not answer: $seen"
    fi
}

see_cache() {
    [ -e /etc/memcached.conf ] && command -v memcached > /dev/null || return 0
    listen=$(sed -n 's/^-l *\([^ ,]*\).*/\1/p' /etc/memcached.conf | sed -n 1p)
    port=$(sed -n 's/^-p *\([0-9]*\).*/\1/p' /etc/memcached.conf | sed -n 1p)
    command -v socat > /dev/null || {
        gap memcached 'there is no socat on the node'
        return
    }
    seen=$(printf 'version\r\nquit\r\n' | timeout 3 socat -t 2 - "TCP:${listen:-127.0.0.1}:${port:-11211},connect-timeout=2" 2>&1 | tr -d '\r')
    case $seen in
    VERSION*) printf 'cache\t%s\n' "${seen#VERSION }" ;;
    *)
        printf 'cache\t\n'
        gap memcached "it does not answer at ${listen:-127.0.0.1}:${port:-11211}: $seen"
        ;;
    esac
}

survey() {
    # Before the first byte of the answer: when that arrives, the clock has been read.
    now=$(date +%s.%N)
    printf 'ostler\t1\n'
    for argument; do export "${argument?}"; done
    if wants system; then see_system; fi
    if wants packages; then see_packages; fi
    if wants units; then see_units; fi
    if wants files; then see_files; fi
    if wants galera || wants schemas; then see_database; fi
    if wants proxy; then see_proxy; fi
    if wants cache; then see_cache; fi
    printf 'end\t1\n'
}
