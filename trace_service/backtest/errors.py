"""What is wrong with a world folder."""

from contracts.errors import CodefenceError


class WorldError(CodefenceError):
    """A world folder cannot be used; the message names file, line and column."""

    code = "WORLD_UNUSABLE"
