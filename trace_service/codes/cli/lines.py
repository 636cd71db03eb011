"""Standard input in lines: fast for files, prompt for a scanner, and no line too long for memory."""

from collections.abc import Iterator
from io import BufferedReader
from typing import Final

_CHUNK_BYTES: Final = 65_536
_LONGEST_LINE: Final = 65_536


def batches_of_lines(stream: BufferedReader) -> Iterator[list[bytes]]:
    """Yield the lines that each read completes, all of them at once; the excess of an endless line is dropped."""
    begun = b""
    while chunk := stream.read1(_CHUNK_BYTES):
        *whole, begun = (begun + chunk).split(b"\n")
        begun = begun[:_LONGEST_LINE]
        yield whole
    if begun:
        yield [begun]
