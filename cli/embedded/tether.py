"""Becomes another program, as another account if wanted, that gets a signal when the process above it dies.

Run as a script, never imported: `tether.py SIGNAL PARENT_PID UID GID PROGRAM [ARGUMENT ...]`, UID -1 to stay who
one is. A small program of its own because Python offers these steps between fork and exec only through
`preexec_fn`, which is unsafe in a process with threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Drop privileges, tie this process to its parent, and turn into the program; never returns."""
    death_signal, parent, uid, gid = (int(value) for value in arguments[:4])
    program = arguments[4:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After setuid, which clears it.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit("the parent died before its child began")
    os.umask(0o077)
    # Python ignores these two, and what is ignored stays so across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.execv(program[0], program)  # noqa: S606  a list of our own, and exec is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
