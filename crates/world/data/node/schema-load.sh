
# Replaces one database of the running cluster by a dump.
effect() {
    is_member || refuse 'the database on this node is not a synced member of the cluster' 'choose a node that is'
    (cd "$directory" && grep " $database\\.sql\\.zst\$" "$sums" | sha256sum --quiet --check -) ||
        refuse "there is no undamaged dump in $directory/$database.sql.zst" 'make the dump again'
    is_whole "$directory/$database.sql.zst" || refuse "the dump in $directory/$database.sql.zst is not complete" 'make the dump again'
    rm -f "$state/loaded-$database"
    zstd --decompress --stdout --quiet "$directory/$database.sql.zst" | mariadb
    # Its absence means that the load did not come to its end, whatever the heads say: they are loaded first.
    : > "$state/loaded-$database"
    sync "$state/loaded-$database"
}

probe() {
    read_heads || unsure "the heads of $database cannot be read: $said" 'bring the database on this node back, then ask again'
    busy=$(sql "select count(*) from information_schema.processlist where command = 'Query' and db = '$database' and user = 'root' and id <> connection_id()") || busy=0
    if [ "$busy" -gt 0 ]; then unsure "the database still works on $database" 'see: mariadb -e "show full processlist"'; fi
    fact heads "$heads"
    [ "${code:-0}" = 0 ] && [ -e "$state/loaded-$database" ] ||
        absent "the dump was not loaded into $database completely" 'loading it again replaces the whole database'
    [ "$heads" = "$wanted" ] || absent "the heads of $database are ${heads:-none} and not $wanted"
    holds
}
