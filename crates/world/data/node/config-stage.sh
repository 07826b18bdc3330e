# Writes standard input beside an active configuration file, with its owner and rights.
# Arguments: the file, the staged file, SHA-256 of what comes, SHA-256 of the file that it was made from, the record.
printf 'ostler\t1\n'
set -eu
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
file=$1 staged=$2 wanted=$3 active=$4 record=$5
digest_of() { sha256sum < "$1" | cut -d ' ' -f 1; }
refuse() {
    rm -f "$staged.partial"
    printf 'refused\t%s\n' "$1"
    exit 0
}
[ "$(digest_of "$file")" = "$active" ] || refuse "$file was changed by somebody else at this moment"
cat > "$staged.partial" || refuse "$staged cannot be written"
[ "$(digest_of "$staged.partial")" = "$wanted" ] || refuse 'the staged file did not arrive whole'
cp --attributes-only --preserve=mode,ownership,xattr -- "$file" "$staged.partial"
sync "$staged.partial"
mkdir -p "${record%/*}"
printf '%s\n' "$wanted" > "$record"
mv -f "$staged.partial" "$staged"
printf 'staged\n'
