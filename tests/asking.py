"""Asking a server over HTTP, with patience: a busy machine answers late, which is no fault of what is tested."""

from functools import partial

import httpx
from waiting import PATIENCE

Client = partial(httpx.Client, timeout=PATIENCE)
get = partial(httpx.get, timeout=PATIENCE)
post = partial(httpx.post, timeout=PATIENCE)
