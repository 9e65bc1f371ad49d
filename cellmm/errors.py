"""The one error that tools show to a user as a single line."""


class CellMMError(ValueError):
    """Input, annotation or configuration that cellmm cannot use; the message names the file and the cure."""
