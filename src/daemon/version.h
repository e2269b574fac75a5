/*
 * Our version, and how we show it where scripts expect rsyslog's: a number that
 * compares as theirs does, then our own.
 */
#pragma once

#define PENSTOCK_VERSION         "0.1.0"
#define PENSTOCK_RSYSLOG_VERSION "8.2610.0-penstock" PENSTOCK_VERSION
