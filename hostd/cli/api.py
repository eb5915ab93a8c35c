"""The server's API as the CLI calls it: JSON in and out, lines as they come, failures as HostdErrors."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from hostd.cli import login, output
from hostd.errors import HostdError, Unavailable
from hostd.settings import process_environment

if TYPE_CHECKING:
    import httpx
    from websockets.sync.client import ClientConnection

READ_SECONDS = 60.0  # streams send a sign of life every 15 s


class Api:
    """Speaks to one server as one User."""

    def __init__(self, known: login.Login) -> None:
        self._known = known

    @staticmethod
    def here() -> "Api":
        """Where one is logged in. Raises Unauthorized if nowhere."""
        return Api(login.read(process_environment()))

    def get(self, path: str, **query: object) -> Any:
        """The JSON at a path below /api/v1."""
        return self._ask("GET", path, query, None)

    def post(self, path: str, body: Mapping[str, object], **query: object) -> Any:
        """What the server makes of `body`."""
        return self._ask("POST", path, query, body)

    def put(self, path: str, body: Mapping[str, object]) -> Any:
        """What is there afterwards."""
        return self._ask("PUT", path, {}, body)

    def patch(self, path: str, body: Mapping[str, object], **query: object) -> Any:
        """What is there after the change."""
        return self._ask("PATCH", path, query, body)

    def delete(self, path: str, **query: object) -> None:
        """Remove what is there."""
        self._ask("DELETE", path, query, None)

    def work(
        self,
        method: str,
        path: str,
        body: Mapping[str, object],
        on_line: Callable[[str], None],
        **query: object,
    ) -> Any:
        """Have a verb done, give each line of its Transcript to `on_line`; its result. Raises what it ended with."""
        with self._stream(method, path, query, body) as lines:
            for text in lines:
                if not text:
                    continue
                item = json.loads(text)
                if "error" in item:
                    raise error_of(item["error"])
                if "result" in item:
                    return item["result"]
                on_line(item["line"])
        raise Unavailable("the server ended before the work did", hint="see what came of it: hostd releases")

    @contextmanager
    def lines(self, path: str, **query: object) -> Iterator[Iterator[str]]:
        """The lines at a path, as they come, without the empty ones that keep the connection alive."""
        with self._stream("GET", path, query, None) as lines:
            yield (text for text in lines if text)

    @contextmanager
    def terminal(self, path: str, **query: object) -> Iterator["ClientConnection"]:
        """A WebSocket at a path. Raises what the server refuses it with, Unavailable if it goes away."""
        from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
        from websockets.sync.client import connect

        words = urlencode(_query(query))
        url = re.sub("^http", "ws", self._known.url) + _url(path) + (f"?{words}" if words else "")
        headers = {"Authorization": f"Bearer {self._known.token}"}
        quiet = {"compression": None, "ping_interval": None, "max_size": None}
        try:
            with connect(url, additional_headers=headers, open_timeout=30, **quiet) as socket:
                yield socket
        except InvalidStatus as error:
            raise _refused(error.response.body, self._known.url) from error
        except ConnectionClosed as error:
            raise Unavailable("the server ended the connection", hint="see: hostd runs") from error
        except (InvalidHandshake, OSError) as error:
            raise Unavailable(f"{self._known.url} cannot be reached: {error}") from error

    def _ask(
        self, method: str, path: str, query: Mapping[str, object], body: Mapping[str, object] | None
    ) -> Any:
        with output.waiting(f"waiting for {self._known.url}"), self._explained(), self._client() as client:
            answer = client.request(method, _url(path), params=_query(query), json=body)
            _check(answer)
            return answer.json() if answer.content else None

    @contextmanager
    def _stream(
        self, method: str, path: str, query: Mapping[str, object], body: Mapping[str, object] | None
    ) -> Iterator[Iterator[str]]:
        with (
            self._explained(),
            self._client() as client,
            client.stream(method, _url(path), params=_query(query), json=body) as answer,
        ):
            if answer.is_error:
                answer.read()
            _check(answer)
            yield (text.rstrip("\n") for text in _split(answer.iter_text()))

    def _client(self) -> "httpx.Client":
        import httpx

        timeout = httpx.Timeout(10.0, read=READ_SECONDS)
        headers = {"Authorization": f"Bearer {self._known.token}"}
        return httpx.Client(base_url=self._known.url, headers=headers, timeout=timeout)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        import httpx

        try:
            yield
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Unavailable(
                f"{self._known.url} cannot be reached: {error or type(error).__name__}",
                hint="is hostd running there? on its machine: hostd serve",
            ) from error


def _url(path: str) -> str:
    return f"/api/v1{path}"


def _query(query: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in query.items() if value is not None}


def _split(chunks: Iterator[str]) -> Iterator[str]:
    """Lines end at \\n alone: httpx's iter_lines also cuts at U+2028 and the like, inside a JSON string."""
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split("\n")
        yield from whole
    if rest:
        yield rest


def _refused(body: bytes | bytearray | None, url: str) -> HostdError:
    try:
        return error_of(json.loads(body or b""))
    except (ValueError, KeyError, TypeError):
        return Unavailable(f"{url} does not answer as hostd does", hint="check it: hostd whoami")


def _check(answer: "httpx.Response") -> None:
    if answer.is_success:
        return
    try:
        problem = answer.json()
        problem["code"], problem["detail"]
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable(
            f"{answer.url.host} answered {answer.status_code}, not as hostd does",
            hint="check the URL you are logged in to: hostd whoami",
        ) from error
    raise error_of(problem)


def error_of(problem: Mapping[str, Any]) -> HostdError:
    """A problem document as the HostdError it was."""
    kinds = {kind.code: kind for kind in HostdError.__subclasses__()}
    kind = kinds.get(str(problem["code"]), HostdError)
    return kind(str(problem["detail"]), hint=str(problem.get("hint", "")))
