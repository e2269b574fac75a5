/* penstock help: what modules there are and what they take, read from their tables. */
#pragma once

int help_main(int argc, char **argv);
