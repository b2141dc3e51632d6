"""A user of the server with no more rights than the page for users asks for."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from durable_primitives import Queue, create_durable_primitives

from .servers import Server

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "redis.md"


async def test_rights_of_the_page_suffice(make_server: Callable[..., Server], opened: AsyncExitStack):
    server = make_server()
    (block,) = re.findall(r"```acl\n(.*?)```", PAGE.read_text(), re.DOTALL)
    with server.client() as client:
        client.execute_command(*block.replace("\\\n", " ").split())
    done: list[str] = []
    mails = Queue.make("mails", event_schema=str, execute=lambda ctx: done.append(ctx.event))
    application = create_durable_primitives(mails)
    url = f"redis://worker:secret@127.0.0.1:{server.port}/0"

    async with application.open(url) as running:
        await running.client.queue(mails).enqueue("ada")
        await running.client.queue(mails).drain()

    assert done == ["ada"]
    with server.client() as client:
        refused = {str(entry["object"]) for entry in client.acl_log()}
    # The client library says its name, and does without.
    assert refused <= {"client|setinfo"}


def test_rights_of_the_page_name_every_command_of_the_scripts():
    from durable_primitives_redis import scripts

    verbs = [value for value in vars(scripts).values() if isinstance(value, scripts.Script)]
    used = {name for verb in verbs for name in re.findall(r"\bcall(?:_many)?\('([A-Z]+)'", verb.source)}
    granted = set(re.findall(r"\+([a-z]+)", PAGE.read_text()))

    assert used
    assert {name.lower() for name in used} <= granted
