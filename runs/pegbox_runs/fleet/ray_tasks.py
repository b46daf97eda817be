"""What runs inside Ray's own worker processes on the nodes: a look at the node, and the process above a post.

Ray pickles a reference to these, and strings; nothing of a run goes that way.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

import msgspec

from pegbox_runs.fleet.looking import look

NOT_FOR_POSTS, FOR_POSTS = ("RAY_", "GLOG_"), "RAY_AUTH_"
"""What Ray sets for its own processes, and what a person may have set for all: a director that a worker starts must
find the cluster as a person's would.
"""


def look_here(arguments: Sequence[str]) -> str:
    """Look from this node. Returns: JSON."""
    return msgspec.json.encode(look(arguments)).decode()


class PostKeeper:
    """Holds an entry's resources while its post works. An actor that outlives its driver, and ends with the post."""

    def keep(self, folder: str, ticket: str) -> None:
        """Start the post, and wait for its end."""
        import ray

        kept = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(FOR_POSTS) or not name.startswith(NOT_FOR_POSTS)
        }
        command = [sys.executable, "-P", "-m", "pegbox_runs.fleet.post", folder, ticket]
        code = subprocess.run(command, env=kept, stdin=subprocess.DEVNULL, check=False).returncode
        if code:
            print(f"the post of {folder} ended with {_name(code)}", file=sys.stderr)
        ray.actor.exit_actor()  # only this way does a detached one end without its creator

    def await_end(self) -> None:
        """Come to one's turn behind `keep`: never, since that ends all."""


def _name(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
