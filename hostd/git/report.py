"""The answer of `git receive-pack`, packet by packet (gitprotocol-pack, "Report Status"; side-band-64k).

Bands 2 and 3 (what the pusher reads) pass at once. Band 1 carries the report; git's own reason for a refused push is
always "pre-receive hook declined", so it is held back to its end and the true reason put in.
"""

DECLINED = b"pre-receive hook declined"
REASON_LIMIT = 200
BAND_LIMIT = 65_515  # bytes of a band in one packet (gitprotocol-capabilities, "side-band-64k")
FLUSH = b"0000"


class Report:
    """Takes git's output in pieces of any size and gives back what the client is to see.

    `refused` is the reason to show; `accepted` becomes true when the report holds an `ok` for a ref.
    """

    def __init__(self) -> None:
        self.refused = ""
        self.accepted: set[str] = set()
        self._rest = b""
        self._report = b""

    def feed(self, data: bytes) -> bytes:
        """The part of the answer that is ready now."""
        self._rest += data
        ready = b""
        while len(self._rest) >= 4:
            length = int(self._rest[:4], 16)
            if length < 4:
                ready, self._rest = ready + self._flush() + self._rest[:4], self._rest[4:]
                continue
            if len(self._rest) < length:
                break
            packet, self._rest = self._rest[:length], self._rest[length:]
            if packet[4:5] == b"\x01" and length > 5:
                self._report += packet[5:]
            else:
                ready += packet
        return ready

    def end(self) -> bytes:
        """What is left when git has ended."""
        ready, self._rest = self._flush() + self._rest, b""
        return ready

    def _flush(self) -> bytes:
        lines, self._report = _packets(self._report), b""
        if not lines:
            return b""
        reason = self.refused.encode("ascii", "replace").replace(b"\n", b" ")[:REASON_LIMIT]
        for line in lines:
            if line.startswith(b"ok "):
                self.accepted.add(line[3:].strip().decode(errors="replace"))
        fixed = [line.replace(DECLINED, reason) if reason else line for line in lines]
        inner = b"".join(packet(line) for line in fixed) + FLUSH
        pieces = (inner[start : start + BAND_LIMIT] for start in range(0, len(inner), BAND_LIMIT))
        return b"".join(packet(b"\x01" + piece) for piece in pieces)


def packet(payload: bytes) -> bytes:
    """`payload` (at most 65,516 bytes) as one pkt-line."""
    return f"{len(payload) + 4:04x}".encode() + payload


def message(text: str) -> bytes:
    """`text` as a line of band 2: the client shows it after `remote: `."""
    return packet(b"\x02" + text.encode(errors="replace")[:65000] + b"\n")


def fatal(text: str, hint: str = "") -> bytes:
    """A whole answer of nothing but why the push was broken off (band 3: the client ends with it)."""
    lines = [f" !     {line}" for line in (text, hint) if line]
    return packet(b"\x03" + "\n".join(lines).encode(errors="replace") + b"\n") + FLUSH


def _packets(data: bytes) -> list[bytes]:
    lines = []
    while len(data) >= 4 and (length := int(data[:4], 16)) >= 4:
        lines.append(data[4:length])
        data = data[length:]
    return lines
