"""Words that follow a number in what commands say."""


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its word in the form that goes with it; `many` where it is not `one` and an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
