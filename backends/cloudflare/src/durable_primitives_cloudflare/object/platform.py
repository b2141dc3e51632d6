# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUntypedBaseClass=false
"""The seam to the Workers runtime: `ctx.storage` and a Durable Object binding, as Pyodide shows them.

Nothing here can be imported outside of Pyodide.  JavaScript has no bytes and no whole numbers; here they are made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pyodide.ffi import create_once_callable, jsnull, to_js

from durable_primitives.errors import Outcome, StorageError, StorageFullError

T = TypeVar("T")

BACKEND = "cloudflare"


class WorkersStorage:
    """`ObjectStorage` over ``ctx.storage`` of an object with SQL storage."""

    def __init__(self, ctx: Any) -> None:
        state = getattr(ctx, "_ctx", ctx)  # the SDK's wrapper would convert every value twice
        self._storage = state.storage
        self._exec = state.storage.sql.exec
        self.rows_written = 0
        """Rows that the database wrote for this life of the object: what is billed, beside the alarms."""

    def execute(self, statement: str, *parameters: object) -> Sequence[Sequence[Any]]:
        try:
            cursor = self._exec(statement, *map(_to_js, parameters))
            rows = cursor.raw().toArray().to_py()
            self.rows_written += cursor.rowsWritten
        except Exception as error:
            raise _storage_error(error) from error
        return [[_from_js(value) for value in row] for row in rows]

    def transaction(self, body: Callable[[], T]) -> T:
        done: list[T] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                done.append(body())
            except BaseException as error:
                failed.append(error)
                raise

        try:
            self._storage.transactionSync(create_once_callable(run))
        except BaseException as error:
            if failed:
                raise failed[0] from failed[0].__cause__
            raise _storage_error(error) from error
        return done[0]

    def set_alarm(self, at: int) -> None:
        # It takes effect at once; what it returns only tells when it is durable, and no reply leaves before that.
        self._storage.setAlarm(at)

    def delete_alarm(self) -> None:
        self._storage.deleteAlarm()

    async def get_alarm(self) -> int | None:
        at = _from_js(await self._storage.getAlarm())
        return None if at is None else int(at)


class BoundObjects:
    """`Objects` over a Durable Object binding of ``env``."""

    def __init__(self, binding: Any) -> None:
        self._binding = getattr(binding, "_binding", binding)

    async def call(self, object_name: str, method: str, *arguments: object) -> bytes:
        stub = self._binding.getByName(object_name)
        return to_bytes(await getattr(stub, method)(*map(_argument, arguments)))


def to_bytes(value: Any) -> bytes:
    """Bytes that came from JavaScript, in whichever of its shapes."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return bytes(value.to_bytes())


def _argument(value: object) -> object:
    return to_js(value) if isinstance(value, bytes) else value


def _to_js(value: object) -> object:
    if value is None:
        return jsnull
    return to_js(value).buffer if isinstance(value, bytes) else value


def _from_js(value: Any) -> Any:
    if value is None or value is jsnull:
        return None
    if isinstance(value, str | int):
        return value
    return int(value) if isinstance(value, float) else to_bytes(value)


def _storage_error(error: BaseException) -> StorageError:
    """What the platform says, as ours.  A transaction that fails was rolled back."""
    text = str(error).splitlines()[0][:300]
    kind = StorageFullError if "SQLITE_FULL" in text else StorageError
    outcome: Outcome = "not_applied"
    return kind(f"the object's storage refused the change ({text})", backend=BACKEND, outcome=outcome)
