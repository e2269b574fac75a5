/* The load generator behind `penstock flood` and `penstock flood verify`. */
#pragma once

/* Returns the exit status: 0, or 1 when messages could not be sent or are missing, or 2 for a wrong command line. */
int flood_main(int argc, char **argv);
