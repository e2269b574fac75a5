/* `penstock flood verify`: which of the messages that were sent with --sequence arrived, and how. */
#pragma once

/* Returns the exit status: 0, or 1 when any is missing, or 2 for a wrong command line or a file that cannot be read. */
int verify_main(int argc, char **argv);
