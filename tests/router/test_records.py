"""The access log's datagrams."""

import asyncio
import socket
from pathlib import Path

from hostd.model.log import RequestRecord
from hostd.router.records import RecordReader, parse

LINE = (
    b"H12\tshop\tfix--shop\tv7\t1795645291.897\t0.001\tshop.localhost\tGET\t503\t784\t"
    b"10.0.0.1:80\tab12\t/x%2fy?q=1\n"
)
RECORD = RequestRecord(
    at=1795645291.896,
    host="shop.localhost",
    app="shop",
    environment="fix--shop",
    release="v7",
    method="GET",
    path="/x%2fy?q=1",
    status=503,
    sent=784,
    seconds=0.001,
    endpoint="10.0.0.1:80",
    code="H12",
    request_id="ab12",
)


def test_a_datagram_holds_many_records() -> None:
    assert list(parse(LINE * 3)) == [RECORD] * 3


def test_what_is_no_record_is_skipped() -> None:
    junk = [b"", b"\n", b"a\tb\n", b"\xff\xfe\n", LINE.replace(b"503", b"x"), LINE.replace(b"0.001", b"")]
    assert list(parse(LINE + b"".join(junk) + LINE)) == [RECORD] * 2
    assert [record.path for record in parse(LINE.replace(b"/x", b"/\xff\xe2\x80\xa8"))] == [
        "/�\u2028%2fy?q=1"
    ]


async def test_every_reader_gets_every_record_from_the_time_it_asked(tmp_path: Path) -> None:
    reader = RecordReader(tmp_path / "requests.sock")
    reader.open(None)
    first = reader.requests()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(LINE, str(tmp_path / "requests.sock"))
        async with asyncio.timeout(5):
            assert await anext(first) == RECORD
            second = reader.requests()
            sender.sendto(LINE.replace(b"ab12", b"cd34"), str(tmp_path / "requests.sock"))
            assert [(await anext(each)).request_id for each in (first, second)] == ["cd34", "cd34"]
    reader.close()
    assert not (tmp_path / "requests.sock").exists()
