
# Makes this stopped node forget its data, so that it takes everything anew from the cluster when it rejoins.
effect() {
    is_stopped || refuse 'the database on this node runs' 'stop it first'
    rm -f "$datadir/grastate.dat" "$datadir/gvwstate.dat" "$datadir/galera.cache"
    sync "$datadir"
}

probe() {
    is_stopped || absent 'the database on this node runs'
    for file in grastate.dat galera.cache; do
        [ ! -e "$datadir/$file" ] || absent "$datadir/$file is still there"
    done
    holds
}
