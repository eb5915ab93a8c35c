# Starts nginx from the directory $1, and again whenever it ends: with hostd or without it.
directory=$1

# An nginx that runs already (this watch took the place of one that was killed) is waited for first.
while pid=$(cat "$directory/nginx.pid" 2>/dev/null) && grep -q "master process nginx -p $directory/" "/proc/$pid/cmdline" 2>/dev/null; do
    sleep 1
done
while :; do
    rm -f "$directory/private/control.sock"
    setsid nginx -p "$directory/" -c nginx.conf -e error.log -g 'daemon off;' </dev/null >/dev/null 2>&1 &
    nginx=$!
    wait "$nginx"
    kill -9 "-$nginx" 2>/dev/null # workers outlive a master that was killed, and hold its ports
    sleep 0.1
done
