
# Restores the dumps of a backup into a scratch server of its own and compares heads and rows with the manifest.
set_dir=$directory/$run/$host
scratch=$set_dir.scratch
# The name of a socket must be short.
door=/run/ostler-$$

scratch_sql() { mariadb --no-defaults --socket="$door/s" --user=root --skip-column-names --batch "$@"; }

stop_scratch() {
    # Nothing in it is worth an orderly stop.
    if [ -n "${server-}" ]; then
        kill -9 "$server" 2> /dev/null || true
        wait "$server" 2> /dev/null || true
    fi
    rm -rf "$scratch" "$door"
}

start_scratch() {
    mkdir -m 0700 "$scratch" "$door"
    needs_kib=$(du -sk "$set_dir" | cut -f 1)
    free_kib=$(df -Pk "$scratch" | awk 'NR == 2 { print $4 }')
    # A dump unpacks to about ten times its size, and an empty server takes room, too.
    if [ "$free_kib" -lt $((needs_kib * 10 + reserve_kib)) ]; then
        refuse "$directory has $((free_kib / 1024)) MiB free; restoring the backup for a trial needs $(((needs_kib * 10 + reserve_kib) / 1024)) MiB" \
            "make room in $directory"
    fi
    quick="--no-defaults --user=root --datadir=$scratch/data --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=OFF
        --innodb-log-file-size=16M --innodb-buffer-pool-size=64M --innodb-temp-data-file-path=ibtmp1:2M:autoextend
        --skip-log-bin --performance-schema=OFF --loose-wsrep-on=OFF"
    # shellcheck disable=SC2086
    mariadb-install-db $quick --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve --skip-log-error > "$scratch/install" 2>&1 || {
        cat "$scratch/install"
        refuse 'a scratch server cannot be made' 'see the log of the step on the node'
    }
    # shellcheck disable=SC2086
    mariadbd $quick --socket="$door/s" --pid-file="$door/pid" --skip-networking --skip-name-resolve > "$scratch/log" 2>&1 3>&- &
    server=$!
    tries=600
    until scratch_sql -e 'select 1' > /dev/null 2>&1; do
        tries=$((tries - 1))
        if [ "$tries" -le 0 ] || ! kill -0 "$server" 2> /dev/null; then
            tail -n 20 "$scratch/log"
            refuse 'a scratch server does not start' 'see the log of the step on the node'
        fi
        sleep 0.05
    done
}

compare() {
    dump=$set_dir/$database.sql.zst
    zstd --decompress --stdout --quiet "$dump" | scratch_sql --init-command='set sql_log_bin = 0, foreign_key_checks = 0, unique_checks = 0'
    wanted=$(sed -n "s/^heads${tab}$database$tab//p" "$set_dir/manifest")
    found=$(scratch_sql -e "select version_num from \`$database\`.\`$version_table\`" 2> /dev/null | sort -u | paste -s -d , -)
    [ "$found" = "$wanted" ] || refuse "the restored $database has heads ${found:-none} and not ${wanted:-none}" 'take another backup'
    sed -n "s/^rows${tab}$database$tab//p" "$set_dir/manifest" > "$scratch/wanted"
    count_rows "$database" scratch_sql > "$scratch/found"
    wrong=$(join -t "$tab" -a 1 -a 2 -e -1 -o 0,1.2,1.3,2.2 "$scratch/wanted" "$scratch/found" |
        awk -F "$tab" '{ low = $2 < $3 ? $2 : $3; high = $2 < $3 ? $3 : $2; if ($4 < low || $4 > high) print $1 ": " $4 " rows, not " $2 }')
    [ -z "$wrong" ] || refuse "the restored $database differs: $wrong" 'take another backup'
    ill=$(mariadb-check --no-defaults --socket="$door/s" --user=root --quick --silent --databases "$database")
    [ -z "$ill" ] || refuse "the restored $database is damaged: $ill" 'take another backup'
    fact "$database" "$(wc -l < "$scratch/found") tables, $(awk -F "$tab" '{ n += $2 } END { print n + 0 }' "$scratch/found") rows"
}

effect() {
    rm -rf "$scratch"
    is_intact "$set_dir" || refuse "there is no complete backup in $set_dir" 'take another backup'
    if [ -e "$set_dir/files.tar.zst" ]; then
        members=$(tar --list --zstd --file="$set_dir/files.tar.zst" | wc -l)
        [ "$members" -gt 0 ] || refuse "$set_dir/files.tar.zst cannot be read" 'take another backup'
        fact files "$members"
    fi
    # shellcheck disable=SC2154
    [ -n "$databases" ] || return 0
    trap stop_scratch EXIT
    start_scratch
    for database in $databases; do compare; done
}

probe() {
    [ "$code" = 0 ] || absent 'the trial was not finished' 'it changes nothing: run it again'
    holds
}
