
# Installs packages in exactly these versions. Nothing starts, restarts or migrates on its own.
policy=/usr/sbin/policy-rc.d
policy_mark='# ostler: no service starts while packages are installed'

forbid_starts() {
    if [ -e "$policy" ] && ! grep -q '^# ostler: no service starts' "$policy"; then cp -p "$policy" "$policy.ostler-kept"; fi
    printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" > "$policy.ostler-new"
    chmod 0755 "$policy.ostler-new"
    mv -f "$policy.ostler-new" "$policy"
}

allow_starts() {
    [ -e "$policy" ] && grep -q '^# ostler: no service starts' "$policy" || return 0
    if [ -e "$policy.ostler-kept" ]; then mv -f "$policy.ostler-kept" "$policy"; else rm -f "$policy"; fi
}

set_source() {
    umask 022
    [ -e "$state/openstack.list" ] || [ ! -e "$list" ] || cp -p "$list" "$state/openstack.list"
    printf '%s\n' "$source" > "$list.ostler-new"
    sync "$list.ostler-new"
    mv -f "$list.ostler-new" "$list"
    umask 077
}

status_of() { dpkg-query -W -f '${db:Status-Abbrev} ${Version}' "$1" 2> /dev/null; }

# Files of a package that are not as they were shipped, configuration files aside.
damaged_in() { dpkg --verify "$1" 2> /dev/null | awk '$2 != "c" { print $NF }'; }

# What dpkg calls in need of another installation, because its unpacking was cut off, it does not configure; and apt asks for
# that before it unpacks anything. It is unpacked by itself: what was downloaded already, else what the source has.
unpack_again() {
    for package in $(dpkg-query -W -f '${db:Status-Eflag}=${Package}=${Version}\n' | sed -n 's/^reinstreq=//p'); do
        name=${package%%=*} version=${package#*=}
        for wanted in $resolved; do
            [ "${wanted%%=*}" != "$name" ] || version=${wanted#*=}
        done
        archive=$(find /var/cache/apt/archives -maxdepth 1 \
            -name "${name}_$(printf '%s' "${version:-*}" | sed 's/:/%3a/')_*.deb" | head -n 1)
        if [ -z "$archive" ]; then
            mkdir -p "$state/again"
            (cd "$state/again" && apt-get -o APT::Sandbox::User=root download "$name${version:+=$version}") ||
                refuse "package $name${version:+ $version} was not unpacked completely, and cannot be fetched again" \
                    'see the log of the step on the node; check the source and the way to it'
            archive=$(find "$state/again" -name "${name}_*.deb" | head -n 1)
        fi
        dpkg --unpack --force-confdef --force-confold --force-unsafe-io "$archive"
    done
    rm -rf "$state/again"
}

effect() {
    for package in $packages; do
        name=${package%%=*}
        before=$(status_of "$name") || before=
        fact "$name-before" "${before##* }"
    done
    set_source
    if [ "$(cat "$fetched" 2> /dev/null)" = "$source" ] && [ -d "$state/fetch/lists" ]; then
        for file in "$state/fetch/lists"/*; do
            # Most of them are the node's own by another name.
            [ -d "$file" ] || [ "$file" -ef "/var/lib/apt/lists/${file##*/}" ] || cp -pu "$file" /var/lib/apt/lists/
        done
    else
        apt-get -o Dir::Etc::sourcelist="$list" -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0 update ||
            refuse "the source $source cannot be read" 'see the log of the step on the node; check the source and the way to it'
    fi
    resolve -o Dir::Etc::sourcelist="$list" -o Dir::Etc::sourceparts=-
    if [ -n "$presets" ] && command -v debconf-set-selections > /dev/null; then
        printf '%s\n' "$presets" | debconf-set-selections
    fi
    trap allow_starts EXIT
    forbid_starts
    export NEEDRESTART_SUSPEND=1 UCF_FORCE_CONFFOLD=1
    unpack_again
    if [ -n "$(dpkg --audit)" ]; then dpkg --configure -a --force-confdef --force-confold; fi
    again=
    for package in $resolved; do
        name=${package%%=*}
        if [ "$(status_of "$name")" = "ii  ${package#*=}" ] && [ -n "$(damaged_in "$name")" ]; then again=--reinstall; fi
    done
    # Thousands of files are not made durable one by one, but all together at the end. If power fails in between, the
    # probe compares every file.
    # shellcheck disable=SC2086
    apt-get install --yes --no-install-recommends --allow-downgrades --allow-change-held-packages $again \
        -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
        -o Dpkg::Options::=--force-unsafe-io -o DPkg::Lock::Timeout=60 $resolved
    sync --file-system / /usr /etc /var /opt
    # A package that may start nothing may have left systemd with its old units.
    systemctl daemon-reload
}

probe() {
    allow_starts
    for package in $packages; do
        name=${package%%=*} wanted=${package#*=}
        found=$(status_of "$name") || found=
        found_state=${found%% *} found_version=${found##* }
        [ -n "$found" ] || absent "package $name is not installed"
        is_wanted "$found_version" "$wanted" || absent "package $name is $found_version and not $wanted"
        [ "$found_state" = ii ] || [ "$found_state" = hi ] || absent "package $name $found_version is half-way: dpkg says $found_state" \
            'another attempt finishes it'
        if [ -z "$code" ] && [ -n "$(damaged_in "$name")" ]; then
            absent "package $name $found_version was not written completely: $(damaged_in "$name" | wc -l) files are damaged" \
                'another attempt installs it again'
        fi
        fact "$name" "$found_version"
    done
    holds
}
