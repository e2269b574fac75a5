#!/bin/sh
# Starts the demo in the foreground and says how to use it. $1: the build folder.
set -eu
cd "$(dirname "$0")/.."
mkdir -p /tmp/penstock-demo
cat <<TEXT

  penstockd runs with demo/penstock.conf. In another terminal, send it a message:

      logger -n 127.0.0.1 -P 5514 -T "hello by tcp"
      logger -u /tmp/penstock-demo/log "hello by the local socket"
      echo "<11>demo: an error by udp" | nc -u -w1 127.0.0.1 5514

  and see where it lands:

      tail /tmp/penstock-demo/messages

  Ctrl-C ends it.

TEXT
exec "$1/src/daemon/penstockd" -n -C -f demo/penstock.conf -i /tmp/penstock-demo/pid
