# Looks at this node and prints what health is judged by, one tagged line for each thing seen. Changes nothing, and prints
# no value of an option that may hold a secret.
# Arguments: NAME=VALUE for each value: units, projects, packages, backups, nodes (names and addresses of controllers),
# shared (the virtual address, or nothing).
# A line: row TABLE NAME=TEXT NAME#=NUMBER NAME?=TRUTH …, separated by tabs; or: gap TABLE WHY.
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
TZ=UTC
export PATH LC_ALL TZ
tab=$(printf '\t')

has() { command -v "$1" > /dev/null 2>&1; }
clean() { tr '\n\t' '  ' | sed 's/[0-9/]* [0-9:]* socat\[[0-9]*\] [A-Z] //; s/ *$//' | cut -c 1-300; }
# Whether one of these units is meant to run here, or does: a program that is only installed is nobody's concern.
in_use() {
    for unit; do
        systemctl -q is-active "$unit" 2> /dev/null && return 0
        case $(systemctl is-enabled "$unit" 2> /dev/null) in enabled* | generated) return 0 ;; esac
    done
    return 1
}
row() {
    table=$1
    shift
    printf 'row\t%s' "$table"
    for field; do printf '\t%s' "$field"; done
    printf '\n'
}
gap() { printf 'gap\t%s\t%s\n' "$1" "$(printf '%s' "$2" | clean)"; }
number() { cat "$1" 2> /dev/null; }
truth() { if "$@" > /dev/null 2>&1; then printf true; else printf false; fi; }

see_node() {
    container=$(truth systemd-detect-virt -qc)
    set -- "os=$(sed -n 's/^PRETTY_NAME=//p' /etc/os-release | tr -d '"')" "kernel=$(uname -r)" "container?=$container" \
        "boot=$(number /proc/sys/kernel/random/boot_id)" "booted#=$(stat -c %Y /proc/1)" "cpus#=$(nproc)" \
        "reboot_required?=$(truth test -e /run/reboot-required)"
    # In a container these are the machine's, not the node's.
    if [ "$container" = false ]; then
        set -- "$@" "load5#=$(cut -d ' ' -f 2 /proc/loadavg)" "load15#=$(cut -d ' ' -f 3 /proc/loadavg)" \
            "cpu_model=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | sed -n 1p)" \
            "oom_kills#=$(sed -n 's/^oom_kill //p' /proc/vmstat)"
        if has timedatectl; then
            set -- "$@" "time_synced?=$(timedatectl show -p NTPSynchronized --value 2> /dev/null | sed 's/^yes$/true/; s/^no$/false/')"
        fi
        governor=$(number /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor)
        set -- "$@" "governor=$governor"
    fi
    set -- "$@" $(awk '
        $1 == "MemTotal:" { printf "mem_total_kib#=%s ", $2 }
        $1 == "MemAvailable:" { printf "mem_available_kib#=%s ", $2 }
        $1 == "SwapTotal:" { swap = $2 }
        $1 == "SwapFree:" { printf "swap_total_kib#=%s swap_used_kib#=%s ", swap, swap - $2 }
        $1 == "HugePages_Total:" { printf "hugepages#=%s ", $2 }
        $1 == "HugePages_Free:" { printf "hugepages_free#=%s ", $2 }' /proc/meminfo)
    set -- "$@" $(awk '{ printf "files_open#=%s files_max#=%s", $1, $3 }' /proc/sys/fs/file-nr)
    set -- "$@" "pids#=$(awk '{ split($4, n, "/"); print n[2] }' /proc/loadavg)" "pids_max#=$(number /proc/sys/kernel/pid_max)"
    count=$(number /proc/sys/net/netfilter/nf_conntrack_count)
    [ -z "$count" ] || set -- "$@" "conntrack#=$count" "conntrack_max#=$(number /proc/sys/net/netfilter/nf_conntrack_max)"
    tcp_limit=$(awk '{ print $3 }' /proc/sys/net/ipv4/tcp_mem 2> /dev/null)
    set -- "$@" "tcp_pages#=$(awk '/^TCP:/ { print $11 }' /proc/net/sockstat)" "tcp_pages_max#=$tcp_limit"
    row node "$@"
}

see_filesystems() {
    timeout 10 df -PkTl 2> /dev/null | awk -v OFS="$tab" 'NR > 1 && $2 !~ /^(tmpfs|devtmpfs|squashfs|iso9660|efivarfs|ramfs|proc|sysfs|fuse.*)$/ && ($2 != "overlay" || $7 == "/") && $7 !~ /^\/(run|snap|sys|dev|proc)(\/|$)/ && $4 + $5 > 0 {
        printf "row\tfilesystem\tmount=%s\tkind=%s\tsize_mib#=%d\tavail_mib#=%d\tused_pct#=%.1f\n", $7, $2, $3 / 1024, $5 / 1024, 100 * $4 / ($4 + $5) }'
    timeout 10 df -PiTl 2> /dev/null | awk 'NR > 1 && $2 !~ /^(tmpfs|devtmpfs|squashfs|iso9660|efivarfs|ramfs|proc|sysfs|btrfs|vfat|fuse.*)$/ && ($2 != "overlay" || $7 == "/") && $7 !~ /^\/(run|snap|sys|dev|proc)(\/|$)/ && $3 > 0 {
        printf "row\tinodes\tmount=%s\tused_pct#=%.1f\tfree#=%d\n", $7, 100 * $4 / $3, $5 }'
    awk '$3 ~ /^(ext[234]|xfs|btrfs)$/ { ro = ($4 ~ /(^|,)ro(,|$)/) ? "true" : "false"; printf "row\tmount\tmount=%s\tkind=%s\treadonly?=%s\n", $2, $3, ro }' /proc/mounts |
        grep -v -E 'mount=/(run|snap|sys|dev|proc|var/lib/(docker|containers))(/|	)'
}

see_interfaces() {
    for place in /sys/class/net/*; do
        name=${place##*/}
        case $name in lo | veth* | tap* | qbr* | qv* | docker* | virbr* | br-* | ovs-* | vxlan* | genev*) continue ;; esac
        [ -e "$place/device" ] || [ -e "$place/bonding" ] || [ "$container" = true ] || continue
        # One that is not meant to be up says nothing.
        flags=$(number "$place/flags")
        [ $((${flags:-0} & 1)) -eq 1 ] || continue
        set -- "name=$name" "carrier?=$(truth test "$(number "$place/carrier")" = 1)" "state=$(number "$place/operstate")" \
            "mtu#=$(number "$place/mtu")"
        speed=$(number "$place/speed")
        case $speed in '' | -*) ;; *) set -- "$@" "speed#=$speed" ;; esac
        for counter in rx_packets rx_errors rx_dropped tx_packets tx_errors tx_dropped; do
            set -- "$@" "$counter#=$(number "$place/statistics/$counter")"
        done
        if [ -e "$place/bonding/slaves" ]; then
            down=0
            for slave in $(number "$place/bonding/slaves"); do
                [ "$(number "/sys/class/net/$slave/carrier")" = 1 ] || down=$((down + 1))
            done
            set -- "$@" "bond_down#=$down"
        fi
        row interface "$@"
    done
}

# Whether a process maps libraries, or is a program, that were replaced on disk.
is_old() { ls -l "/proc/$1/exe" 2> /dev/null | grep -q '(deleted)$' || grep -q '\.so[.0-9]* (deleted)$' "/proc/$1/maps" 2> /dev/null; }

see_units() {
    # A pattern finds what is loaded; a unit that was stopped is not, though it is enabled.
    # shellcheck disable=SC2086
    files=$(systemctl list-unit-files --type=service --no-legend $units 2> /dev/null | awk '$2 ~ /^enabled/ && $1 !~ /@\.service$/ { print $1 }')
    # shellcheck disable=SC2086
    systemctl show $units $files -p Id -p LoadState -p ActiveState -p SubState -p UnitFileState -p Type -p MainPID -p NRestarts \
        -p ExecMainStartTimestamp -p Result -p ExecMainStatus -p ActiveEnterTimestamp 2> /dev/null |
        awk -F= 'function tell() { if (id != "" && !told[id]++) printf "%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s\n", id, load, active, sub_, file, pid, restarts, result, status, kind, started; id = "" }
            NF == 0 { tell(); next } { value = substr($0, length($1) + 2) }
            $1 == "Id" { id = value } $1 == "LoadState" { load = value } $1 == "ActiveState" { active = value }
            $1 == "SubState" { sub_ = value } $1 == "UnitFileState" { file = value } $1 == "MainPID" { pid = value }
            $1 == "NRestarts" { restarts = value } $1 == "Result" { result = value } $1 == "ExecMainStatus" { status = value }
            $1 == "Type" { kind = value }
            $1 == "ExecMainStartTimestamp" { started = value } END { tell() }' |
        while IFS="|" read -r id load active sub_ file pid restarts result status kind started; do
            [ "$load" != not-found ] || continue
            set -- "name=${id%.service}" "kind=$kind" "load=$load" "active=$active" "sub=$sub_" "enabled=$file" "result=$result" "status#=${status:-0}"
            case $restarts in '' | *[!0-9]*) ;; *) set -- "$@" "restarts#=$restarts" ;; esac
            if [ "${pid:-0}" -gt 0 ] 2> /dev/null && [ "$active" = active ]; then
                began=$(date -d "$started" +%s 2> /dev/null || echo 0)
                project=${id#openstack-} project=${project%%[-@.]*}
                newest=$(stat -L -c %Y "/etc/$project"/*.conf "/etc/$project"/*.cfg 2> /dev/null | sort -n | tail -n 1)
                unpacked=$(stat -c %Y "/var/lib/dpkg/info/${id%.service}.list" "/var/lib/dpkg/info/python3-$project.list" 2> /dev/null | sort -n | tail -n 1)
                set -- "$@" "started#=$began" "old_code?=$(truth is_old "$pid")" \
                    "config_newer?=$(truth test "$began" -gt 0 -a "${newest:-0}" -gt "$began")" \
                    "package_newer?=$(truth test "$began" -gt 0 -a "${unpacked:-0}" -gt "$began")" \
                    "rss_kib#=$(awk '/^VmRSS:/ { print $2 }' "/proc/$pid/status" 2> /dev/null)" \
                    "files_open#=$(ls "/proc/$pid/fd" 2> /dev/null | wc -l)" \
                    "files_max#=$(awk '/^Max open files/ { print $4 }' "/proc/$pid/limits" 2> /dev/null)"
            fi
            row unit "$@"
        done
    systemctl list-units --all --type=service --state=failed --no-legend --plain 2> /dev/null |
        awk '{ sub(/\.service$/, "", $1); printf "row\tfailed\tname=%s\n", $1 }'
}

see_containers() {
    for engine in docker podman; do
        has "$engine" || continue
        timeout 15 "$engine" ps -a --format '{{.Names}}	{{.State}}	{{.Status}}' 2> /dev/null |
            awk -F '\t' -v engine="$engine" '{ sick = ($3 ~ /\(unhealthy\)/) ? "true" : "false"; printf "row\tcontainer\tname=%s\tengine=%s\tstate=%s\tstatus=%s\tunhealthy?=%s\n", $1, engine, $2, $3, sick }'
        return
    done
}

# A file without comments, and with OWN for this node's names and addresses: those differ between equal nodes by nature. A line that
# names other nodes as well is a list of them, and is left as it is; so is a balancer's line for one server.
bare() { sed 's/[[:space:]]*$//; /^[[:space:]]*[#;]/d; /^$/d' "$1"; }
owned() {
    bare "$1" | awk -v own="$own" -v nodes="$nodes" '
        function subnet(a) { sub(/\.[0-9]+$/, "", a); return a }
        BEGIN {
            n = split(own, a, " ")
            for (i = 1; i <= n; i++) if (a[i] !~ /^(127\.0\.0\.1|::1|localhost)$/) {
                if (a[i] ~ /:/) six[a[i]]; else mine[a[i]]
                if (a[i] ~ /^[0-9.]+$/) near[subnet(a[i])]
            }
            n = split(nodes, a, " ")
            for (i = 1; i <= n; i++) other[a[i]]
        }
        /^[[:space:]]*server[[:space:]]/ { print; next }
        {
            rest = $0; text = ""; foreign = 0
            while (match(rest, /[0-9A-Za-z.-]+/)) {
                word = substr(rest, RSTART, RLENGTH); text = text substr(rest, 1, RSTART - 1); rest = substr(rest, RSTART + RLENGTH)
                if (word in mine) word = "OWN"
                else if (word in other || word ~ /^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$/ && (subnet(word) in near)) foreign = 1
                text = text word
            }
            text = text rest
            for (six_own in six) while ((at = index(text, six_own)) > 0) text = substr(text, 1, at - 1) "OWN" substr(text, at + length(six_own))
            print foreign ? $0 : text
        }'
}
digest() { sha256sum | cut -c 1-16; }

see_settings() {
    # An address that moves between nodes is nobody's own.
    own="$(hostname) $(hostname -f 2> /dev/null) $(ip -o addr show 2> /dev/null | awk -v shared="$shared" '
        { split($4, a, "/") } $0 !~ / secondary / && a[2] !~ /^(32|128)$/ && a[1] != shared { printf "%s ", a[1] }')"
    for project in $projects; do
        [ -d "/etc/$project" ] || continue
        for file in "/etc/$project"/*.conf "/etc/$project"/*.ini "/etc/$project"/policy.* "/etc/$project"/plugins/*/*.ini; do
            [ -f "$file" ] || continue
            kind=config
            case $file in */policy.*) kind=policy ;; esac
            row file "path=$file" "kind=$kind" "digest=$(owned "$file" | digest)" "plain=$(bare "$file" | digest)" "changed#=$(stat -L -c %Y "$file")" "mode=$(stat -L -c %a "$file")"
        done
        for file in "/etc/$project"/*.conf; do
            [ -f "$file" ] || continue
            awk -v path="$file" '
                /^[[:space:]]*\[/ { section = $0; sub(/^[[:space:]]*\[/, "", section); sub(/\].*/, "", section); next }
                /^[[:space:]]*[#;]/ { next }
                /^[A-Za-z0-9_]+[[:space:]]*[=:]/ {
                    option = $0; sub(/[[:space:]]*[=:].*/, "", option); value = $0; sub(/^[^=:]*[=:][[:space:]]*/, "", value); gsub(/\t/, " ", value)
                    name = section "." option
                    if (section == "upgrade_levels" || name ~ /^(DEFAULT\.(debug|service_down_time|report_interval|agent_down_time|compute_driver|instances_path|use_syslog|use_journal)|agent\.report_interval|service_user\.send_service_user_token|oslo_messaging_rabbit\.(rabbit_quorum_queue|amqp_durable_queues|heartbeat_in_pthread|rabbit_ha_queues)|database\.(max_pool_size|max_overflow)|libvirt\.(virt_type|cpu_mode|images_type)|fernet_tokens\.max_active_keys|cache\.(enabled|backend)|oslo_policy\.enforce_scope)$/)
                        printf "row\tsetting\tpath=%s\tsection=%s\toption=%s\tvalue=%s\n", path, section, option, value
                }' "$file"
        done
    done
    for file in /etc/haproxy/haproxy.cfg /etc/memcached.conf; do
        [ -f "$file" ] || continue
        row file "path=$file" kind=balancer "digest=$(owned "$file" | digest)" "plain=$(bare "$file" | digest)" "changed#=$(stat -c %Y "$file")" "mode=$(stat -c %a "$file")"
    done
    for directory in /etc/keystone/fernet-keys /etc/keystone/credential-keys /etc/nova/fernet-keys /etc/heat/fernet-keys; do
        [ -d "$directory" ] || continue
        digest=$(cd "$directory" && find . -type f -print0 | sort -z | xargs -0 -r sha256sum -- | sha256sum | cut -c 1-16)
        newest=$(find "$directory" -type f -printf '%T@\n' | sort -n | tail -n 1 | cut -d . -f 1)
        row keys "path=$directory" "digest=$digest" "count#=$(find "$directory" -type f | wc -l)" "newest#=${newest:-0}" \
            "open?=$(truth test -n "$(find "$directory" -type f -perm /007 | head -n 1)")"
    done
    if [ -f /var/lib/nova/compute_id ]; then row compute.identity "id=$(tr -d '[:space:]' < /var/lib/nova/compute_id)"; fi
}

see_packages() {
    # shellcheck disable=SC2086
    if has dpkg-query; then
        set -f
        dpkg-query -W -f '${Package}\t${db:Status-Abbrev}\t${Version}\n' $packages 2> /dev/null |
            awk -F '\t' '$2 !~ /^(un|rc)/ { state = $2; gsub(/ /, "", state); printf "row\tpackage\tname=%s\tstate=%s\tversion=%s\n", $1, state, $3 }'
        set +f
        dpkg --audit 2> /dev/null | grep -q . && row package name=dpkg-audit state=half version=0
    elif has rpm; then
        set -f
        rpm -qa --qf 'row\tpackage\tname=%{NAME}\tstate=ii\tversion=%{VERSION}-%{RELEASE}\n' $packages 2> /dev/null
        set +f
    fi
}

see_database() {
    client=
    for name in mariadb mysql; do has "$name" && client=$name && break; done
    [ -n "$client" ] && in_use mariadb mysql mysqld || return 0
    said=$(timeout 15 "$client" --no-auto-rehash -N -B --connect-timeout=3 -e "
        show global status where variable_name in ('wsrep_cluster_status', 'wsrep_cluster_size', 'wsrep_local_state', 'wsrep_local_state_comment',
            'wsrep_ready', 'wsrep_connected', 'wsrep_cluster_state_uuid', 'wsrep_flow_control_paused', 'wsrep_local_recv_queue', 'wsrep_local_recv_queue_avg',
            'wsrep_local_cert_failures', 'threads_connected', 'max_used_connections', 'aborted_connects', 'uptime', 'slow_queries', 'innodb_deadlocks',
            'innodb_row_lock_current_waits', 'table_locks_waited', 'table_locks_immediate');
        show global variables where variable_name in ('max_connections', 'wsrep_desync', 'wsrep_on', 'read_only', 'version', 'wsrep_cluster_address', 'open_files_limit');
        select 'long_queries', count(*) from information_schema.processlist where command = 'Query' and time > 60 and user not in ('system user', 'event_scheduler');
        select 'lock_waits', count(*) from information_schema.innodb_trx where trx_state = 'LOCK WAIT';
        select 'old_transactions', count(*) from information_schema.innodb_trx where trx_started < now() - interval 10 minute;" 2>&1)
    status=$?
    case $said in
    *'ERROR 2002'* | *'ERROR 2003'* | *'ERROR 2013'* | *'ERROR 1040'* | *'ERROR 1047'* | *'ERROR 1203'*)
        why=$(printf '%s' "$said" | grep ERROR | clean)
        row database 'answers?=false' "why=$why"
        return
        ;;
    *'ERROR 1045'* | *'ERROR 1698'*) gap database "root may not log in to the database here: $(printf '%s' "$said" | grep ERROR)"; return ;;
    esac
    if [ "$status" -ne 0 ]; then
        [ "$status" -ne 124 ] || said='no answer within 15 s'
        row database 'answers?=false' "why=$(printf '%s' "$said" | clean)"
        return
    fi
    printf '%s\n' "$said" | awk -F '\t' '
        BEGIN { printf "row\tdatabase\tanswers?=true" }
        { name = tolower($1); value = $2 }
        value ~ /^-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?$/ && name !~ /^(version|wsrep_cluster_state_uuid)$/ { printf "\t%s#=%s", name, value; next }
        value ~ /^(ON|OFF)$/ { printf "\t%s?=%s", name, (value == "ON") ? "true" : "false"; next }
        { printf "\t%s=%s", name, value }
        END { printf "\n" }'
    if [ -f /var/lib/mysql/grastate.dat ]; then
        row grastate "safe_to_bootstrap#=$(sed -n 's/^safe_to_bootstrap: *//p' /var/lib/mysql/grastate.dat)" "seqno=$(sed -n 's/^seqno: *//p' /var/lib/mysql/grastate.dat)"
    fi
}

see_cache() {
    has memcached && in_use memcached || return 0
    has socat || { gap cache 'there is no socat on the node'; return; }
    for file in /etc/memcached.conf /etc/sysconfig/memcached; do [ -e "$file" ] && break; done
    listen=$(sed -n 's/^-l *\([^ ,]*\).*/\1/p; s/^OPTIONS=.*-l *\([^ ,"]*\).*/\1/p' "$file" 2> /dev/null | sed -n 1p)
    port=$(sed -n 's/^-p *\([0-9]*\).*/\1/p; s/^PORT="*\([0-9]*\).*/\1/p' "$file" 2> /dev/null | sed -n 1p)
    place=${listen:-127.0.0.1}:${port:-11211}
    said=$(printf 'stats\r\nquit\r\n' | timeout 4 socat -t 2 - "TCP:$place,connect-timeout=2" 2>&1 | tr -d '\r')
    case $said in
    STAT*) printf '%s\n' "$said" | awk -v place="$place" '
        BEGIN { printf "row\tcache\tanswers?=true\tplace=%s", place }
        $2 ~ /^(curr_connections|max_connections|rejected_connections|evictions|get_hits|get_misses|uptime|bytes|limit_maxbytes|listen_disabled_num)$/ { printf "\t%s#=%s", $2, $3 }
        END { printf "\n" }' ;;
    *) row cache 'answers?=false' "place=$place" "why=$(printf '%s' "${said:-nothing came}" | clean)" ;;
    esac
}

see_balancer() {
    [ -e /etc/haproxy/haproxy.cfg ] && has haproxy && in_use haproxy || return 0
    has socat || { gap haproxy.server 'there is no socat on the node'; return; }
    socket=$(sed -n 's/^[[:space:]]*stats[[:space:]]\{1,\}socket[[:space:]]\{1,\}\([^[:space:]]*\).*/\1/p' /etc/haproxy/haproxy.cfg | sed -n 1p)
    socket=${socket#unix@}
    socket=${socket:-/run/haproxy/admin.sock}
    if said=$(printf 'show stat\n' | timeout 5 socat -t 3 - "UNIX-CONNECT:$socket" 2>&1); then
        printf '%s\n' "$said" | sed "s/^/haproxy$tab/"
        printf 'show info\n' | timeout 5 socat -t 3 - "UNIX-CONNECT:$socket" 2> /dev/null |
            awk -F ': ' 'BEGIN { printf "row\thaproxy\tanswers?=true" } $1 ~ /^(CurrConns|Maxconn|Uptime_sec)$/ { printf "\t%s#=%s", tolower($1), $2 } END { printf "\n" }'
    else
        row haproxy 'answers?=false' "why=$(printf '%s' "$said" | clean)"
    fi
    rc=$(timeout 10 haproxy -c -q -f /etc/haproxy/haproxy.cfg > /dev/null 2>&1; echo $?)
    row haproxy.config "valid?=$(truth test "$rc" -eq 0)" "changed#=$(stat -c %Y /etc/haproxy/haproxy.cfg)"
}

see_addresses() {
    has ip || { gap address 'there is no ip on the node'; return; }
    ip -o addr show 2> /dev/null | awk '$2 != "lo" { split($4, a, "/"); printf "row\taddress\tinterface=%s\taddress=%s\n", $2, a[1] }'
    has ss || return 0
    ss -ltnH 2> /dev/null | awk '{ n = split($4, a, ":"); place = substr($4, 1, length($4) - length(a[n]) - 1); if (a[n] < 32768) printf "row\tlistener\taddress=%s\tport#=%s\n", place, a[n] }' | sort -u
}

see_certificates() {
    has openssl || { gap certificate 'there is no openssl on the node'; return; }
    {
        for place in haproxy:/etc/haproxy apache2:/etc/apache2/sites-enabled httpd:/etc/httpd/conf.d nginx:/etc/nginx mariadb:/etc/mysql mariadb:/etc/my.cnf.d rabbitmq-server:/etc/rabbitmq; do
            [ -d "${place#*:}" ] || continue
            grep -rhoE --include='*' '(^|[[:space:]])(crt|ssl_certificate|SSLCertificateFile|ssl[-_]cert|ssl[-_]ca|ssl_options\.(certfile|cacertfile)|cert(ificate)?file|ca-file)[[:space:]=]+"?[^[:space:]"]+' "${place#*:}" 2> /dev/null |
                sed 's/.*[[:space:]="]//' | while IFS= read -r path; do
                    if [ -d "$path" ]; then find "$path" -type f | head -n 50; else printf '%s\n' "$path"; fi
                done | sed "s|^|${place%%:*} |"
        done
        for project in $projects; do
            sed -n 's/^\(cert_file\|certfile\|ssl_ca_file\|cafile\|ssl_cert_file\)[[:space:]]*=[[:space:]]*//p' "/etc/$project"/*.conf 2> /dev/null | sed "s|^|$project |"
        done
        for path in /etc/pki/libvirt/servercert.pem /etc/pki/libvirt/clientcert.pem /etc/pki/qemu/server-cert.pem /etc/pki/CA/cacert.pem \
            /etc/octavia/certs/*.pem /etc/octavia/certs/*.crt /etc/ovn/*cert*.pem /etc/openvswitch/*cert.pem; do
            [ -f "$path" ] && printf 'libvirt %s\n' "$path"
        done
    } | sort -u -k 2,2 | head -n 100 | while read -r user path; do
        case $path in /etc/ssl/certs/ca-certificates.crt | /etc/pki/tls/certs/ca-bundle.crt) continue ;; esac
        [ -f "$path" ] || { row certificate "path=$path" "used_by=$user" 'there?=false'; continue; }
        seen=$(openssl x509 -in "$path" -noout -startdate -enddate -subject -issuer 2> /dev/null) || continue
        after=$(date -d "$(printf '%s\n' "$seen" | sed -n 's/^notAfter=//p')" +%s)
        before=$(date -d "$(printf '%s\n' "$seen" | sed -n 's/^notBefore=//p')" +%s)
        bits=$(openssl x509 -in "$path" -noout -text 2> /dev/null | sed -n 's/.*Public-Key: (\([0-9]*\) bit).*/\1/p' | sed -n 1p)
        kind=$(openssl x509 -in "$path" -noout -text 2> /dev/null | sed -n 's/.*Public Key Algorithm: //p' | sed -n 1p)
        row certificate "path=$path" "used_by=$user" 'there?=true' "ends#=$after" "begins#=$before" "changed#=$(stat -L -c %Y "$path")" \
            "subject=$(printf '%s\n' "$seen" | sed -n 's/^subject= *//p' | clean)" "bits#=${bits:-0}" "algorithm=$kind"
    done
}

see_kernel() {
    has journalctl || return 0
    [ "$container" = false ] || return 0
    timeout 20 journalctl -k --since -24h -o short-unix --no-pager -q 2> /dev/null | tail -n 50000 | awk '
        function note(kind) { count[kind]++; last[kind] = $1; text = $0; sub(/^[^ ]+ [^ ]+ kernel: /, "", text); gsub(/\t/, " ", text); sample[kind] = substr(text, 1, 160) }
        /Out of memory: Killed process|oom-kill:|Memory cgroup out of memory/ { note("oom") }
        /blocked for more than [0-9]+ seconds/ { note("hung-task") }
        /soft lockup|hard LOCKUP|rcu.*stall/ { note("lockup") }
        /EXT4-fs error|XFS .*(Corruption|error)|BTRFS error|Remounting filesystem read-only/ { note("fs-error") }
        /I\/O error, dev|blk_update_request: I\/O error|Buffer I\/O error|critical medium error/ { note("io-error") }
        /Machine check|mce: \[Hardware Error\]|Hardware Error/ { note("hardware") }
        /EDAC .*(CE|UE) / { note("memory-error") }
        /NETDEV WATCHDOG/ { note("net-watchdog") }
        /nf_conntrack: table full/ { note("conntrack-full") }
        / segfault at | general protection / { note("segfault") }
        /Kernel panic|BUG: unable|Oops:/ { note("oops") }
        END { split("oom hung-task lockup fs-error io-error hardware memory-error net-watchdog conntrack-full segfault oops", kinds, " ")
            for (i in kinds) printf "row\tkernel\tkind=%s\tcount#=%d\tlast#=%d\tsample=%s\n", kinds[i], count[kinds[i]], last[kinds[i]], sample[kinds[i]] }'
}

see_hypervisor() {
    has virsh || return 0
    begun=$(date +%s%3N)
    if ! said=$(timeout 10 virsh -r list --all --uuid --name 2>&1); then
        row libvirt 'answers?=false' "why=$(printf '%s' "${said:-no answer within 10 s}" | clean)"
        return
    fi
    row libvirt 'answers?=true' "ms#=$(($(date +%s%3N) - begun))" "kvm?=$(truth test -c /dev/kvm)"
    states=$(timeout 20 virsh -r domstats --state --raw 2> /dev/null)
    { printf '%s\n' "$said"; printf '=\n'; printf '%s\n' "$states"; } | awk '
        $0 == "=" { second = 1; next }
        !second && NF >= 2 { uuid[$2] = $1; next }
        second && /^Domain:/ { name = $0; sub(/^Domain: ./, "", name); sub(/.$/, "", name) }
        second && /state.state=/ { split($1, a, "="); state[name] = a[2] }
        second && /state.reason=/ { split($1, a, "="); reason[name] = a[2] }
        END { split("running blocked paused shutdown shutoff crashed suspended", word, " ")
            for (name in uuid) { s = state[name]; printf "row\tdomain\tname=%s\tid=%s\tstate=%s\treason#=%s\n", name, uuid[name], (s == "" ? "unknown" : (s == 0 ? "none" : word[s])), (reason[name] == "" ? 0 : reason[name]) } }'
}

see_switch() {
    has ovs-vsctl || return 0
    said=$(timeout 10 ovs-vsctl --timeout=8 --format=csv --no-headings --columns=name,error find interface 'error!=[]' 2>&1) || {
        row ovs 'answers?=false' "why=$(printf '%s' "$said" | clean)"
        return
    }
    row ovs 'answers?=true' "mirrors#=$(timeout 5 ovs-vsctl --timeout=4 --format=csv --no-headings --columns=name list mirror 2> /dev/null | grep -c .)" \
        "broken#=$(printf '%s' "$said" | grep -c .)" "sample=$(printf '%s' "$said" | clean)"
}

see_storage() {
    has ceph && [ -e /etc/ceph/ceph.conf ] || return 0
    said=$(timeout 15 ceph health detail --format json --connect-timeout 10 2> /dev/null) || { gap ceph 'ceph health does not answer, or this node has no key for it'; return; }
    printf 'json\tceph\t%s\n' "$(printf '%s' "$said" | tr -d '\n\t')"
}

see_backups() {
    [ -d "$backups" ] || return 0
    newest=$(find "$backups" -mindepth 3 -maxdepth 3 -name manifest -printf '%T@\n' 2> /dev/null | sort -n | tail -n 1 | cut -d . -f 1)
    sets=$(find "$backups" -mindepth 3 -maxdepth 3 -name manifest 2> /dev/null | wc -l)
    partial=$(find "$backups" -mindepth 2 -maxdepth 2 -name '*.partial' -mmin +120 2> /dev/null | wc -l)
    [ "$sets" -gt 0 ] || [ "$partial" -gt 0 ] || return 0
    row backup "directory=$backups" "newest#=${newest:-0}" "sets#=$sets" "partial#=$partial"
}

look() {
    printf 'ostler\t1\n'
    printf 'clock\t%s\n' "$(date +%s.%N)"
    for argument; do export "${argument?}"; done
    see_node
    for part in filesystems interfaces units containers settings packages database cache balancer addresses certificates kernel hypervisor switch storage backups; do
        "see_$part"
    done
    printf 'end\t1\n'
}
