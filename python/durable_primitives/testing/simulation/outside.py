"""What a loop without a selector has not: network, subprocesses, signals.  Each is refused by its name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

from durable_primitives.testing.simulation.errors import EscapedSimulationError
from durable_primitives.testing.simulation.escapes import calling_place


class NothingOutside(asyncio.AbstractEventLoop):
    """A loop that refuses everything that needs the world outside."""


def _refuse(name: str) -> Callable[..., NoReturn]:
    def refuse(self: NothingOutside, *args: Any, **options: Any) -> NoReturn:
        raise EscapedSimulationError(
            f"loop.{name}",
            calling_place(),
            "there is neither network nor subprocess nor signal in a simulation",
            help="give the handler a fake of what it talks to, for example through resources=",
        )

    return refuse


_OUTSIDE = (
    "add_reader add_signal_handler add_writer connect_accepted_socket connect_read_pipe connect_write_pipe "
    "create_connection create_datagram_endpoint create_server create_unix_connection create_unix_server getaddrinfo "
    "getnameinfo remove_reader remove_signal_handler remove_writer sendfile sock_accept sock_connect sock_recv "
    "sock_recv_into sock_recvfrom sock_recvfrom_into sock_sendall sock_sendfile sock_sendto start_tls subprocess_exec "
    "subprocess_shell"
)
for _name in _OUTSIDE.split():
    setattr(NothingOutside, _name, _refuse(_name))
