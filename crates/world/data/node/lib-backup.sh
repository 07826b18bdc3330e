
# A backup set: `manifest` with what was seen, `SHA256SUMS` over everything else.
set_digest() { printf '%s\n--\n%s\n' "$files" "$databases" | sha256sum | cut -d ' ' -f 1; }
is_intact() { (cd "$1" 2> /dev/null && [ -e manifest ] && sha256sum --quiet --check SHA256SUMS > /dev/null 2>&1); }

# Counts the rows of every table of a database through the given client: TABLE<TAB>COUNT, sorted.
count_rows() {
    counted=$1
    shift
    tables=$("$@" -e "select table_name from information_schema.tables where table_schema = '$counted' and table_type = 'BASE TABLE' order by 1")
    query=
    for table in $tables; do
        query="$query${query:+ union all }select '$table', count(*) from \`$counted\`.\`$table\`"
    done
    [ -z "$query" ] || "$@" -e "$query" | sort
}

# A dump is whole when its last line says so.
is_whole() {
    zstd --decompress --stdout --quiet "$1" | tail -n 1 | grep -q '^-- Dump completed'
}
