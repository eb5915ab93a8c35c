"""The head of a push as it comes in: ref commands and push options (gitprotocol-pack, "Reference Update Request").

git takes any number of commands into memory before it looks at the first, and says nothing to the pusher about
what it cannot parse: so both are seen to here, before git gets the bytes.
"""

import re
from collections.abc import Generator

from hostd.errors import Invalid, LimitExceeded

COMMANDS_LIMIT = 10_000  # `model.push` refuses far fewer, once they are all there
OPTIONS_LIMIT = 256 * 1024  # bytes of all push options: they become the environment of the hook
LINE_LIMIT = 65_520  # bytes, gitprotocol-common
_LENGTH = re.compile(rb"[0-9a-fA-F]{4}")
_COMMAND = re.compile(rb"([0-9a-f]{40} [0-9a-f]{40} [^\0\n ]+|shallow [0-9a-f]{40})\n?")


class Head:
    """Is given a push in pieces, and raises where it is no good. The pack behind the head is git's to check."""

    def __init__(self) -> None:
        self._complete = False
        self._data = b""
        self._position = 0  # in the data
        self._before = 0  # bytes that came before the data
        self._reader = self._read()

    def check(self, piece: bytes) -> None:
        """The next piece. Raises Invalid or LimitExceeded."""
        if not self._complete:
            self._before += self._position
            self._data, self._position = self._data[self._position :] + piece, 0
            next(self._reader, None)

    def end(self) -> None:
        """Nothing more comes. Raises Invalid if the head is not complete."""
        if not self._complete:
            raise Invalid("the request is cut off")

    def _read(self) -> Generator[None]:
        commands = options = 0
        options_follow = False
        while (line := (yield from self._line())) is not None:
            commands += 1
            if commands > COMMANDS_LIMIT:
                raise LimitExceeded(f"more than {COMMANDS_LIMIT} refs in one push", hint="push fewer at once")
            command, _, capabilities = line.partition(b"\0")
            if not _COMMAND.fullmatch(command):
                shown = ascii(command[:80].decode(errors="replace"))
                raise Invalid(f"malformed command before byte {self._before + self._position}: {shown}")
            if b"object-format=sha256" in capabilities.split():
                raise Invalid("object format sha256 is not supported", hint="use a repository of sha1")
            options_follow |= b"push-options" in capabilities.split()
        while options_follow and (line := (yield from self._line())) is not None:
            options += len(line)
            if options > OPTIONS_LIMIT:
                raise LimitExceeded(f"the push options are longer than {OPTIONS_LIMIT // 1024} KiB")
        self._complete, self._data = True, b""

    def _line(self) -> Generator[None, None, bytes | None]:
        """The next line, or None for a flush packet; waits for more data until it is whole."""
        while len(self._data) - self._position < 4:
            yield
        digits = self._data[self._position : self._position + 4]
        length = int(digits, 16) if _LENGTH.fullmatch(digits) else -1
        if length != 0 and not 4 < length <= LINE_LIMIT:
            at = self._before + self._position
            raise Invalid(f"bad pkt-line length {digits.decode(errors='replace')!a} at byte {at}")
        while len(self._data) - self._position < length:
            yield
        start, self._position = self._position + 4, self._position + max(length, 4)
        return self._data[start : self._position] if length else None
