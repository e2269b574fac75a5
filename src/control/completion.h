/* penstock completion: what a shell needs to complete our arguments, made from the tables. */
#pragma once

int completion_main(int argc, char **argv);
