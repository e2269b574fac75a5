/* Tells the service manager about our state (sd_notify's protocol: a datagram to $NOTIFY_SOCKET). */
#pragma once

void notify_service(const char *state);
