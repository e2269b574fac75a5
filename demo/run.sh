#!/bin/sh
# Starts the demo in the foreground and says how to use it. $1: the build folder. PORT and TMPDIR may be given.
set -eu
cd "$(dirname "$0")/.."
port=${PORT:-5514}
place=${TMPDIR:-/tmp}/penstock-demo-$(id -un 2>/dev/null || :)  # a user without a name has a number
mkdir -p "$place"
sed "s,/tmp/penstock-demo,$place,g; s,5514,$port,g" demo/penstock.conf >"$place/penstock.conf"
cat <<TEXT

  penstockd runs with demo/penstock.conf. In another terminal, send it a message:

      logger -n 127.0.0.1 -P $port -T "hello by tcp"
      logger -u $place/log "hello by the local socket"
      echo "<11>demo: an error by udp" | nc -u -w1 127.0.0.1 $port

  and see where it lands:

      tail $place/messages

  Ctrl-C ends it.

TEXT
exec "$1/src/daemon/penstockd" -n -C -f "$place/penstock.conf" -i "$place/pid"
