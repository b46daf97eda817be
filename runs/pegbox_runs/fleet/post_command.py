"""How a post is started on a node."""

from __future__ import annotations

import sys

from pegbox_runs.fleet.cluster import Post


def post_command(post: Post, python: str = sys.executable) -> list[str]:
    """Give its command line: arguments alone, for no shell. It ends when its worker does, and exits 0 then."""
    return [python, "-P", "-m", "pegbox_runs.fleet.post", str(post.folder), post.ticket]
