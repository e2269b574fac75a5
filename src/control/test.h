#pragma once

/* penstock test FILE...: unit tests of configurations. */
int test_main(int argc, char **argv);
