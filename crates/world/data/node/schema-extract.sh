
# Reads one database out of this isolated node without letting it join or change, and leaves the dump here.
dump=$directory/$run/extract/$database.sql.zst
door=/run/ostler-$$

alone_sql() { mariadb --no-defaults --socket="$door/s" --user=root --skip-column-names --batch "$@"; }

stop_alone() {
    if [ -n "${server-}" ]; then
        kill "$server" 2> /dev/null || true
        wait "$server" 2> /dev/null || true
        server=
    fi
    rm -rf "$door"
    rm -f "$dump.partial"
}

effect() {
    is_stopped || refuse 'the database on this node runs: it is not isolated' 'isolate it first'
    [ -e "$datadir/grastate.dat" ] || refuse "there is no $datadir/grastate.dat on this node" 'choose the node that was isolated'
    grastate_before=$(sha256sum < "$datadir/grastate.dat")
    mkdir -p "$directory"
    mkdir -p -m 0700 "$directory/$run" "$directory/$run/extract"
    mkdir -m 0755 "$door"
    owner=$(stat -c %U "$datadir")
    chown "$owner" "$door"
    trap stop_alone EXIT
    setpriv --reuid="$owner" --regid="$(id -g "$owner")" --init-groups -- mariadbd --wsrep-on=OFF --read-only=1 \
        --skip-networking --skip-slave-start --skip-log-bin --event-scheduler=OFF --socket="$door/s" --pid-file="$door/pid" 3>&- &
    server=$!
    tries=1200
    until alone_sql -e 'select 1' > /dev/null 2>&1; do
        tries=$((tries - 1))
        if [ "$tries" -le 0 ] || ! kill -0 "$server" 2> /dev/null; then
            refuse 'the database cannot be started alone' 'see the log of the step on the node'
        fi
        sleep 0.05
    done
    found=$(alone_sql -e "select version_num from \`$database\`.\`$version_table\`" | sort -u | paste -s -d , -)
    [ "$found" = "$heads" ] || refuse "$database on this node has heads ${found:-none} and not $heads" 'choose the node that was isolated before the upgrade'
    mariadb-dump --no-defaults --socket="$door/s" --user=root --single-transaction --quick --routines --triggers --events \
        --hex-blob --add-drop-database --databases "$database" | zstd -3 --quiet --force -o "$dump.partial"
    is_whole "$dump.partial" || refuse "the dump of $database is not complete" "see to the free space of $directory and the log of the step"
    kill "$server"
    wait "$server" || true
    server=
    [ "$(sha256sum < "$datadir/grastate.dat")" = "$grastate_before" ] ||
        refuse "$datadir/grastate.dat changed while the database ran alone" 'do not let this node rejoin: wipe it first'
    sync "$dump.partial"
    mv -f "$dump.partial" "$dump"
    (cd "${dump%/*}" && sha256sum "$database.sql.zst" > "$database.sha256")
}

probe() {
    (cd "${dump%/*}" 2> /dev/null && sha256sum --quiet --check "$database.sha256") || absent "there is no complete dump in $dump"
    is_stopped || absent 'the database on this node runs'
    fact dump "$dump"
    fact bytes "$(stat -c %s "$dump")"
    fact sha256 "$(cut -d ' ' -f 1 "${dump%/*}/$database.sha256")"
    holds
}
