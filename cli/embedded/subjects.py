"""MQTT topic filters as NATS subjects, for the broker's permissions."""

import re

from contracts.errors import ConfigurationError

# NATS would read a "." as another separator and "*" or ">" as wildcards, so that a name could widen its own rights.
_LEVEL = re.compile(r"[A-Za-z0-9_-]+")


def subjects(topic_filter: str) -> tuple[str, ...]:
    """Return the subjects that together mean `topic_filter`.

    Two for a filter that ends in `#`, which in MQTT includes the level above it and in NATS does not. Raises
    ConfigurationError for anything but levels of letters, digits, `_` and `-`, single `+`, and a last `#`.
    """
    levels = topic_filter.split("/")
    whole_tree = levels[-1] == "#"
    named = levels[:-1] if whole_tree else levels
    if not named or not all(level == "+" or _LEVEL.fullmatch(level) for level in named):
        raise ConfigurationError(
            f"{topic_filter!r} is no topic filter that can be granted",
            advice="Use levels of letters, digits, '_' and '-', '+' for one level, and '#' as the last of several.",
        )
    subject = ".".join("*" if level == "+" else level for level in named)
    return (subject, f"{subject}.>") if whole_tree else (subject,)
