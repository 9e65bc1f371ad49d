"""The same as `cellmm test`, from a clone."""

import sys

from cellmm.commands.cli import main

if __name__ == "__main__":
    sys.exit(main(["test", *sys.argv[1:]]))
