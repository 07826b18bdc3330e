
# The database on this node, spoken to as root through its socket.
held=/var/lib/ostler/mariadb-was-enabled

sql() { mariadb --no-auto-rehash --skip-column-names --batch --execute "$1" < /dev/null; }

datadir=$(my_print_defaults --mysqld 2> /dev/null | sed -n 's/^--datadir=//p' | tail -n 1)
datadir=${datadir:-/var/lib/mysql}
datadir=${datadir%/}

# One value of Galera's status.
wsrep() { sql "show global status like 'wsrep_$1'" | cut -f 2; }
grastate() { sed -n "s/^$1: *//p" "$datadir/grastate.dat" 2> /dev/null; }

is_member() { [ "$(wsrep cluster_status 2> /dev/null)" = Primary ] && [ "$(wsrep local_state 2> /dev/null)" = 4 ]; }
is_stopped() {
    waits=$(systemctl show mariadb.service -p Job --value)
    [ "${waits:-0}" = 0 ] || return 1
    case $(systemctl show mariadb.service -p ActiveState --value) in
    inactive | failed) ! pgrep -x mariadbd > /dev/null ;;
    *) return 1 ;;
    esac
}

# Reads the schema heads, sorted, with commas between; none where there is no version table.
read_heads() {
    heads=
    said=$(sql "select version_num from \`$database\`.\`$version_table\`" 2>&1) || {
        case $said in
        *'ERROR 1146'* | *'ERROR 1049'*) return 0 ;;
        *) return 1 ;;
        esac
    }
    heads=$(printf '%s\n' "$said" | sort -u | paste -s -d , -)
}

# A node that was taken out on purpose must not join again by itself when it restarts.
hold_back() {
    [ -e "$held" ] || systemctl is-enabled mariadb.service > "$held.new" 2> /dev/null || true
    [ -e "$held" ] || mv -f "$held.new" "$held"
    systemctl disable --quiet mariadb.service
    fact starts-at-boot "no, until it rejoins"
}
let_go() {
    [ -e "$held" ] || return 0
    case $(cat "$held") in
    enabled) systemctl enable --quiet mariadb.service ;;
    esac
    rm -f "$held"
    fact starts-at-boot "$(systemctl is-enabled mariadb.service 2> /dev/null)"
}
