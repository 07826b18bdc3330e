# Says which versions of packages a source offers. The node's own lists and sources are not touched.
# Arguments: the source, then the packages.
set -u
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
umask 077

available() {
    printf 'ostler\t1\n'
    source=$1
    shift
    work=$(mktemp -d /tmp/ostler-XXXXXX) || exit 74
    trap 'rm -rf "$work"' EXIT
    trap 'exit 143' TERM HUP PIPE
    mkdir -p "$work/lists/partial"
    printf '%s\n' "$source" > "$work/source.list"
    packages=$*
    set -- -o Dir::State::lists="$work/lists" -o Dir::Etc::sourcelist="$work/source.list" -o Dir::Etc::sourceparts=- \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o Acquire::Retries=1 -o APT::Sandbox::User=root
    if ! said=$(apt-get "$@" --quiet update 2>&1); then
        printf 'refused\t%s\n' "$(printf '%s' "$said" | grep '^[EW]:' | tr '\n\t' '  ')"
        exit 0
    fi
    for package in $packages; do
        apt-cache "$@" madison "$package" | awk -F ' *[|] *' -v package="$package" '{ printf "version\t%s\t%s\n", package, $2 }'
    done
    printf 'end\t1\n'
}
