"""Code masters in files, for whoever issues and checks codes without a database."""

import os
import stat
from pathlib import Path
from typing import Final

import click

from contracts.errors import ConfigurationError
from contracts.tc20 import MASTER_BYTES

_LARGEST_BYTES: Final = 4096
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def read_master(path: Path) -> bytes:
    """Return the raw bytes of a master; warns where others than its owner may read the file.

    Raises `ConfigurationError`, which names the file and never its content.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            master = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            f"the master file {path} cannot be read: {error.strerror}", advice="Check its name and permissions."
        ) from error
    if not MASTER_BYTES <= len(master) <= _LARGEST_BYTES:
        size = f"{len(master)}" if len(master) <= _LARGEST_BYTES else f"more than {_LARGEST_BYTES}"
        raise ConfigurationError(
            f"the master file {path} has {size} bytes, {MASTER_BYTES} to {_LARGEST_BYTES} are needed",
            advice=f"Make one with: head -c {MASTER_BYTES} /dev/urandom > FILE",
        )
    if stat.S_ISREG(mode) and mode & _OTHERS:
        click.echo(
            f"warning: others may read the master file {path}, and whoever reads it can mint codes: chmod 600 {path}",
            err=True,
        )
    return master
