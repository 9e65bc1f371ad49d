"""The same as `cellmm train`, from a clone."""

import sys

from cellmm.commands.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
