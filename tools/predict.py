"""The same as `cellmm predict`, from a clone."""

import sys

from cellmm.commands.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
