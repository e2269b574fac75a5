/* penstock check [FILE]: every mistake of a configuration; exit 0 when there is none, else 1. */
#pragma once

int check_main(int argc, char **argv);
