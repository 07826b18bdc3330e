
# Packages: which full version of a package a source has for an upstream version.
list=/etc/apt/sources.list.d/openstack.list
fetched=$state/fetched

upstream_of() { printf '%s\n' "$1" | sed 's/^[0-9]*://; s/[^0-9.].*//; s/\.*$//'; }

# Whether a full version is the wanted upstream version, or a point release of it.
is_wanted() {
    case $(upstream_of "$1") in
    "$2" | "$2".*) return 0 ;;
    *) return 1 ;;
    esac
}

# Full versions of a package that a source line has, newest first. The rest of the arguments are for apt-cache.
versions_in() {
    name=$1
    shift
    apt-cache "$@" madison "$name" | awk -F ' *[|] *' '{ print $2 }'
}

# Resolves every wanted package to NAME=FULL, one a line, in $resolved.
resolve() {
    resolved=
    for package in $packages; do
        name=${package%%=*} wanted=${package#*=} full=
        offered=$(versions_in "$name" "$@")
        for version in $offered; do
            if is_wanted "$version" "$wanted"; then
                full=$version
                break
            fi
        done
        if [ -z "$full" ]; then
            refuse "package $name $wanted is not in $source; it has ${offered:-no $name}" \
                "make the source offer $name $wanted, or plan again with what it has"
        fi
        resolved="$resolved${resolved:+$newline}$name=$full"
    done
}
