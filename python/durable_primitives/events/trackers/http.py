"""Sending events to a collector over HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from durable_primitives.durations import Duration, parse
from durable_primitives.errors import DefinitionError
from durable_primitives.events.model import PrimitiveEvent
from durable_primitives.events.trackers.sender import Limits, Pause
from durable_primitives.events.trackers.threaded import ThreadedTracker, positive
from durable_primitives.logs import get_logger

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

_MAX_RETRY_DELAY_S = 30.0
_TRANSIENT = frozenset({408, 425, 429})
"""Statuses below 500 after which the same request may yet succeed."""

_log = get_logger("durable_primitives.events")


class EventBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON body of one request."""

    batch_id: str
    """The same on every try, so that a collector can recognise a batch whose first answer was lost."""
    attributes: Mapping[str, str]
    """What the application says about itself."""
    dropped: int
    """Events that this process had lost when the batch was made."""
    events: list[msgspec.Raw]
    """Each a `PrimitiveEvent` as its own JSON object."""


class _Failure(Exception):
    """A try that did not get through."""

    def __init__(self, reason: str, *, transient: bool) -> None:
        super().__init__(reason)
        self.transient = transient


class HttpBatchTracker(ThreadedTracker):
    """Posts events to `url` in batches of JSON (`EventBatch`), from a daemon thread.

    A collector that is slow, down or refusing costs the work nothing: while it is, events wait in a queue of
    `max_queue`, and the newest are dropped and counted after that. A batch is tried `max_attempts` times, `retry_delay`
    apart and twice as long after each, up to 30 seconds; then it is dropped and counted. Any 2xx is success. Statuses
    that would not change (400, 401, 404 …) are not tried again, and redirects are not followed. Delivery is at least
    once: `batch_id` is there for the collector to tell a repeat.

    `attributes` go with every batch, for example the environment and the service. `timeout` is for one try,
    `close_timeout` for all that is left when closing. Proxies are taken from the environment, as urllib does.

    Raises:
        DefinitionError: an argument is out of range, or `url` is not http or https.

    Example:
        >>> tracker = HttpBatchTracker(
        ...     "https://collector.example.com/v1/events",
        ...     headers={"authorization": "Bearer …"},
        ...     attributes={"environment": "production", "service": "billing"},
        ...     flush_interval="2 seconds",
        ... )
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        attributes: Mapping[str, str] | None = None,
        batch_size: int = 100,
        flush_interval: Duration = "1 second",
        max_queue: int = 10_000,
        timeout: Duration = "5 seconds",
        max_attempts: int = 3,
        retry_delay: Duration = "1 second",
        close_timeout: Duration = "5 seconds",
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise DefinitionError(
                f"url is {url!r}, which is neither http:// nor https://", help="give a collector's URL"
            )
        super().__init__(
            Limits(
                batch_size=positive("batch_size", batch_size),
                flush_interval_s=parse(flush_interval, what="flush_interval", allow_zero=True).total_seconds(),
                max_queue=positive("max_queue", max_queue),
                close_timeout_s=parse(close_timeout, what="close_timeout").total_seconds(),
            )
        )
        self._url = url
        self._headers = {"content-type": "application/json", **(headers or {})}
        self._attributes = dict(attributes or {})
        self._timeout_s = parse(timeout, what="timeout").total_seconds()
        self._max_attempts = positive("max_attempts", max_attempts)
        self._retry_delay_s = parse(retry_delay, what="retry_delay", allow_zero=True).total_seconds()
        self._opener: OpenerDirector | None = None
        self._losing = False

    def _deliver(self, batch: list[PrimitiveEvent], pause: Pause) -> int:
        events = list(_encoded(batch))
        body = msgspec.json.encode(
            EventBatch(
                # Not an id of the store's: it only has to differ from those of other batches and processes.
                batch_id=os.urandom(16).hex(),
                attributes=self._attributes,
                dropped=self.dropped,
                events=events,
            )
        )
        try:
            self._post_with_retries(body, pause)
        except _Failure as failure:
            self._report_loss(failure, len(events))
            return 0
        self._losing = False
        return len(events)

    def _post_with_retries(self, body: bytes, pause: Pause) -> None:
        delay_s = self._retry_delay_s
        for _ in range(self._max_attempts - 1):
            try:
                return self._post(body)
            except _Failure as failure:
                if not failure.transient or not pause(min(delay_s, _MAX_RETRY_DELAY_S)):
                    raise
            delay_s *= 2
        return self._post(body)

    def _post(self, body: bytes) -> None:
        from http.client import HTTPException
        from urllib.error import HTTPError
        from urllib.request import Request

        if self._opener is None:
            self._opener = _opener()
        request = Request(self._url, data=body, headers=self._headers, method="POST")
        try:
            self._opener.open(request, timeout=self._timeout_s).close()
        except HTTPError as error:
            error.close()
            raise _Failure(f"status {error.code}", transient=error.code >= 500 or error.code in _TRANSIENT) from None
        except (OSError, HTTPException) as error:
            raise _Failure(f"{type(error).__name__}: {error}", transient=True) from None

    def _report_loss(self, failure: _Failure, count: int) -> None:
        """Say once per outage that events are being lost; the counter says how many."""
        from urllib.parse import urlsplit

        if not self._losing:
            self._losing = True
            _log.warning("tracking events lost", host=urlsplit(self._url).hostname, reason=str(failure), events=count)


def _encoded(batch: list[PrimitiveEvent]) -> Iterator[msgspec.Raw]:
    """The events of `batch` as JSON, without those that have none (text with unpaired surrogates)."""
    for event in batch:
        try:
            yield msgspec.Raw(msgspec.json.encode(event))
        except (TypeError, ValueError):
            continue


def _opener() -> OpenerDirector:
    """Urllib's usual opener, less its redirects: it follows them with a GET that leaves the batch behind."""
    from urllib.request import HTTPRedirectHandler, build_opener

    class RefuseRedirects(HTTPRedirectHandler):
        def redirect_request(self, *args: Any, **kwargs: Any) -> None:
            return None

    return build_opener(RefuseRedirects)
