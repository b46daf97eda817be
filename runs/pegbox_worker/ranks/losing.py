"""Whether what ended a process is only that another one was gone before it."""

from __future__ import annotations

from collections.abc import Iterator

import torch.distributed as dist

LOST = (
    "connection closed by peer",
    "connection reset by peer",
    "broken pipe",
    "socket closed",
    "connection was likely closed",
    "remote process exited",
    "nccl communicator was aborted",
    "connection refused",
    "failed to recv",
)
"""Source: gloo's transport/tcp/pair.cc; NCCL's ncclRemoteError as torch words it; c10d's socket.cpp, TCPStore.cpp."""
OF_GROUPS = ("gloo", "nccl", "c10d", "tcpstore", "store", "connectfullmesh")


SENTENCE = "the connection to another process was lost"
"""What libraries say of it names ports, which are others each time."""


def lost_peer(error: BaseException | None) -> bool:
    """Tell whether it, or what it was raised from, says that a connection between the processes broke."""
    return any(isinstance(one, dist.DistError) or _says_so(one) for one in _chain(error))


def _says_so(error: BaseException) -> bool:
    said = str(error).lower()
    lost = any(word in said for word in LOST) and any(word in said for word in OF_GROUPS)
    return isinstance(error, RuntimeError) and lost


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__
