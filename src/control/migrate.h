/*
 * penstock migrate: what becomes of each line of a configuration that rsyslogd ran.
 */
#pragma once

int migrate_main(int argc, char **argv);
