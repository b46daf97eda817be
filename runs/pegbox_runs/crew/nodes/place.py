"""Which machines carry a run together, and where they meet; kept in the run's folder, so that it goes on there."""

from __future__ import annotations

import errno
import re
import shlex
import socket

import msgspec

from pegbox_methods.events import UNDECODABLE
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.whole_file import write_whole

MOST_NODES = 1024


class Nodes(msgspec.Struct, frozen=True, kw_only=True):
    """The machines of one run."""

    nodes: int
    """How many."""
    host: str
    """Of node 0, as the others reach it."""
    port: int
    """Where node 0's crew listens."""
    recipe: str = "RECIPE"
    """What node 0's command named, for the command that is told for the others."""

    def command(self, node: int | str) -> str:
        """Write what a person types on a machine."""
        words = ["pegbox", "train", self.recipe, "--nodes", str(self.nodes), "--node-rank", str(node)]
        return shlex.join([*words, "--rendezvous", f"{self.host}:{self.port}"])


def write_nodes(folder: RunFolder, nodes: Nodes) -> None:
    """Keep them for this run's next workers. Raises: OSError."""
    place = folder.path / "launch" / "nodes.json"
    place.parent.mkdir(mode=0o700, exist_ok=True)
    write_whole(place, msgspec.json.format(msgspec.json.encode(nodes), indent=2) + b"\n")


def read_nodes(folder: RunFolder) -> Nodes | None:
    """Read them; None: the run is on one machine.

    Raises: Refusal: the file holds something else.
    """
    place = folder.path / "launch" / "nodes.json"
    try:
        return msgspec.json.decode(place.read_bytes(), type=Nodes)
    except FileNotFoundError:
        return None
    except (OSError, *UNDECODABLE) as error:
        raise Refusal(
            f"{place}: can't be read as the machines of a run ({one_line(str(error), 200)}). Remove the file to go on "
            "with one machine, or start the run anew with --nodes."
        ) from None


def parse_rendezvous(text: str) -> tuple[str, int]:
    """Take HOST:PORT apart. Raises: Refusal: it isn't that."""
    found = re.fullmatch(r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}))?:?([0-9]{1,5})?", text)
    host, port = (found[1], found[2]) if found else (None, None)
    if not host or not port or ":" not in text or not 1024 <= int(port) <= 65_535:
        raise Refusal(
            f"--rendezvous {one_line(text, 200)}: isn't HOST:PORT. HOST is node 0's name or IPv4 address, as the other "
            "machines reach it, and PORT a free one there from 1024 to 65535, as in node0.example.org:29500."
        )
    return host, int(port)


def address_of(host: str) -> str:
    """Ask what a host's IPv4 address is. Raises: Refusal: nobody knows."""
    try:
        return socket.gethostbyname(host)
    except OSError as error:
        raise Refusal(
            f"--rendezvous: this machine ({socket.gethostname()}) can't find the host {host}: "
            f"{error.strerror or error}. Name node 0 as every machine knows it, or give its IP address."
        ) from None


def listen(host: str, port: int) -> socket.socket:
    """Open the place where the other machines come to. Raises: Refusal: it isn't this machine's, or it is taken."""
    address = address_of(host)
    _refuse_foreign(host, address)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", port))  # a name of one's own may lead to an address that only this machine knows
        listener.listen(MOST_NODES)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Refusal(
                f"--rendezvous: port {port} of this machine is in use by another program. Name another one, on all "
                "machines the same."
            ) from None
        raise Refusal(f"--rendezvous {host}:{port}: can't be listened at: {error.strerror}.") from None
    return listener


def free_port() -> int:
    """Find a port that nobody has now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def interface_of(address: str) -> str | None:
    """Name the network interface that has an address; None: there is none."""
    import psutil  # here, since only several machines need it

    for name, addresses in psutil.net_if_addrs().items():
        if any(one.address == address for one in addresses):
            return str(name)
    return None


def _refuse_foreign(host: str, address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            raise Refusal(
                f"--rendezvous: {host} is {address}, which isn't an address of this machine ({socket.gethostname()}). "
                "It must be node 0's, and this is node 0: name this machine, or start here with another --node-rank."
            ) from None
