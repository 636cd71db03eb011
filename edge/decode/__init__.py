"""Reading codes from pictures: bytes to grey levels, grey levels to codes. Opens no display."""

from edge.code import Code
from edge.decode.cascade import read_codes
from edge.decode.images import Gray, load_image

__all__ = ["Code", "Gray", "load_image", "read_codes"]
