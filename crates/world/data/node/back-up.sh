
# Copies files and dumps databases into the backup directory. The set has its name only when it is complete.
target=$directory/$run/$host
partial=$target.partial

effect() {
    if is_intact "$target"; then
        [ "$(sed -n "s/^set$tab//p" "$target/manifest")" = "$(set_digest)" ] ||
            refuse "$target holds another backup of this run" 'make one backup of a node in a run, with everything in it'
        return
    fi
    rm -rf "$target" "$partial"
    trap 'rm -rf "$partial"' EXIT
    mkdir -p "$directory"
    mkdir -p -m 0700 "$directory/$run"
    mkdir -m 0700 "$partial"

    for file in $files; do
        [ -e "$file" ] || refuse "there is no $file to back up" 'correct the list of files, or the node'
    done
    # shellcheck disable=SC2086
    needs_kib=$(if [ -n "$files" ]; then du -ck -- $files | tail -n 1 | cut -f 1; else echo 0; fi)
    for database in $databases; do
        size_kib=$(sql "select coalesce(ceil(sum(data_length) / 1024), 0) from information_schema.tables where table_schema = '$database'")
        needs_kib=$((needs_kib + size_kib))
    done
    free_kib=$(df -Pk "$partial" | awk 'NR == 2 { print $4 }')
    if [ "$free_kib" -lt $((needs_kib + reserve_kib)) ]; then
        refuse "$directory has $((free_kib / 1024)) MiB free; the backup may need $((needs_kib / 1024)) MiB and $((reserve_kib / 1024)) MiB are kept free" \
            "make room in $directory, or name another backup directory"
    fi

    {
        printf 'format\t1\nrun\t%s\nhost\t%s\ntaken\t%s\n' "$run" "$host" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
        printf 'set\t%s\n' "$(set_digest)"
        if [ -n "$databases" ]; then
            printf 'server\t%s\n' "$(sql 'select version()')"
            printf 'galera\t%s:%s\n' "$(wsrep cluster_state_uuid)" "$(wsrep last_committed)"
        fi
    } > "$partial/manifest"

    if [ -n "$files" ]; then
        # shellcheck disable=SC2046
        tar --create --use-compress-program='zstd -3' --file="$partial/files.tar.zst" --xattrs --acls --numeric-owner \
            --sort=name --directory=/ -- $(for file in $files; do printf '%s\n' "${file#/}"; done) ||
            refuse 'the files could not be copied completely' "see to the free space of $directory and the log of the step"
    fi
    for database in $databases; do
        dump=$partial/$database.sql.zst
        read_heads || refuse "the heads of $database cannot be read: $said"
        printf 'heads\t%s\t%s\n' "$database" "$heads" >> "$partial/manifest"
        count_rows "$database" mariadb --skip-column-names --batch > "$partial/before"
        mariadb-dump --single-transaction --quick --routines --triggers --events --hex-blob --add-drop-database \
            --databases "$database" | zstd -3 --quiet -o "$dump"
        if ! is_whole "$dump"; then
            refuse "the dump of $database is not complete" "see to the free space of $directory and the log of the step"
        fi
        count_rows "$database" mariadb --skip-column-names --batch > "$partial/after"
        # Rows may come and go while the dump is made: the truth lies between two counts.
        join -t "$tab" -a 1 -a 2 -e 0 -o 0,1.2,2.2 "$partial/before" "$partial/after" |
            sed "s/^/rows\t$database\t/" >> "$partial/manifest"
        rm -f "$partial/before" "$partial/after"
    done
    (cd "$partial" && sha256sum -- * > ../.sums && mv ../.sums SHA256SUMS)
    (cd "$partial" && sync -- * .)
    mv -T "$partial" "$target"
    sync "$directory/$run"
}

probe() {
    is_intact "$target" || absent "there is no complete backup in $target"
    [ "$(sed -n "s/^set$tab//p" "$target/manifest")" = "$(set_digest)" ] || absent "$target holds another backup of this run"
    fact directory "$target"
    fact taken "$(sed -n "s/^taken$tab//p" "$target/manifest")"
    for file in "$target"/*.zst; do
        [ -e "$file" ] || continue
        fact "${file##*/}" "$(stat -c %s "$file") bytes, sha256 $(grep " ${file##*/}\$" "$target/SHA256SUMS" | cut -d ' ' -f 1)"
    done
    holds
}
