#!/usr/bin/env python3
"""Promise: a fuzz target survives its time. `fuzz.py TARGET --seconds N`; TAP."""
import argparse
import os
import subprocess
import sys
import tempfile

parser = argparse.ArgumentParser()
parser.add_argument("target")
parser.add_argument("--seconds", type=int, default=4)
arguments = parser.parse_args()
name = os.path.basename(arguments.target)
with tempfile.TemporaryDirectory() as corpus:
    done = subprocess.run([arguments.target, f"-max_total_time={arguments.seconds}", "-timeout=10", "-rss_limit_mb=2048",
                           f"-artifact_prefix={corpus}/", "-print_final_stats=1", corpus],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
print("1..1")
if done.returncode:
    for line in done.stdout.splitlines()[-60:]:
        print("#", line)
print("not ok" if done.returncode else "ok", f"1 - {name} survives {arguments.seconds} seconds")
sys.exit(1 if done.returncode else 0)
