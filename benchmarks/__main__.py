"""The command line of all benchmarks: python -m benchmarks NAME [options]; README.md beside this file lists them."""

import sys

from benchmarks.harness import call

if __name__ == "__main__":
    call(sys.argv[1:])
