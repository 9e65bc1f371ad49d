"""The commands of ``cellmm``: one module each, with ``parse_args`` and ``main``."""
