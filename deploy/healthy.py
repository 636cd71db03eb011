#!/usr/bin/env python3
"""A container's health check: `healthy.py URL [LINE]` succeeds if URL answers 200 and, if given, holds this line."""

import sys
import urllib.request


def main() -> int:
    """Return the exit code; an unreachable address raises, which counts as ill just the same."""
    url, *lines = sys.argv[1:]
    with urllib.request.urlopen(url, timeout=4) as answer:  # noqa: S310  the address stands in the compose file
        found = answer.read().decode().splitlines()
    return 0 if all(line in found for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
