
# Downloads packages of a release. What is active on the node is not touched: lists and source lie beside it.
work=$state/fetch

effect() {
    # Lists are big; those that earlier runs fetched serve nobody any more.
    rm -rf /var/lib/ostler/*/fetch
    mkdir -p "$work/parts" "$work/lists/partial"
    for part in /etc/apt/sources.list.d/*; do
        [ "$part" = "$list" ] || [ ! -e "$part" ] || cp "$part" "$work/parts/"
    done
    printf '%s\n' "$source" > "$work/source.list"
    cp "$work/source.list" "$work/parts/openstack.list"
    cp -al /var/lib/apt/lists/. "$work/lists/" 2> /dev/null || cp -a /var/lib/apt/lists/. "$work/lists/"
    set -- -o Dir::State::lists="$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
        -o Acquire::Retries=2 -o APT::Sandbox::User=root
    only="-o Dir::Etc::sourcelist=$work/source.list -o Dir::Etc::sourceparts=-"
    # shellcheck disable=SC2086
    apt-get "$@" $only -o APT::Get::List-Cleanup=0 update ||
        refuse "the source $source cannot be read" 'see the log of the step on the node; check the source and the way to it'
    # shellcheck disable=SC2086
    resolve "$@" $only
    # shellcheck disable=SC2086
    apt-get "$@" -o Dir::Etc::sourceparts="$work/parts" install --download-only --yes --no-install-recommends \
        --allow-downgrades --allow-change-held-packages $resolved ||
        refuse "the packages of $source cannot be downloaded completely" 'see the log of the step on the node'
    for package in $resolved; do fact "${package%%=*}" "${package#*=}"; done
    printf '%s\n' "$source" > "$fetched.new"
    sync "$fetched.new"
    mv -f "$fetched.new" "$fetched"
}

probe() {
    if [ "$(cat "$fetched" 2> /dev/null)" = "$source" ]; then holds; fi
    absent "the packages of $source are not on the node"
}
