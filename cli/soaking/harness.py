"""Runs one target under a coverage-guided fuzzer: `python -m cli.soaking.harness TARGET [LIBFUZZER_OPTION ...]`.

A process of its own, because the fuzzer ends it: exit code 0 after the last run, another one after a crash or a hang,
whose input it leaves where `-artifact_prefix` says.
"""

import importlib
import sys

import atheris


def main(arguments: list[str]) -> None:
    """Instrument what the target calls, and fuzz; never returns."""
    name, *options = arguments
    # Imported here, while the hook is on: what was imported before would not be instrumented.
    with atheris.instrument_imports(include=["contracts", "ingest"]):
        targets = importlib.import_module("cli.soaking.targets")
    atheris.Setup([sys.argv[0], *options], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
