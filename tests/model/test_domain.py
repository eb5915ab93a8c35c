from dataclasses import replace
from datetime import timedelta

import pytest

from hostd.errors import Invalid
from hostd.model.domain import Domain, Record, host_of, wait_after, wildcard_over

BASE, HOSTD = "apps.example.org", "hostd.example.net"
WWW = Domain(1, 1, 1, "www.example.com", "hostd-1")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("www.example.com", "www.example.com"),
        ("WWW.Example.COM.", "www.example.com"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("i\u2764.ws", "xn--i-7iq.ws"),
        ("\u0440\u0430\u0443\u0440\u0430l.com", "xn--l-7sba6dbr.com"),
        ("\uff45xample\u3002com", "example.com"),
        ("example.org", "example.org"),
        ("*.example.com", "*.example.com"),
        ("*.example.org", "*.example.org"),
        ("a.b.example.co.uk", "a.b.example.co.uk"),
        (".".join(["a" * 61] * 4) + ".com", ".".join(["a" * 61] * 4) + ".com"),
    ],
)
def test_a_domain_is_kept_as_the_dns_has_it(text: str, host: str) -> None:
    assert host_of(text, BASE, HOSTD) == host


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("http://example.com", "it is a URL"),
        ("example.com/path", "it is a URL"),
        ("user@example.com", "it is a URL"),
        ("example.com:80", "no port"),
        ("10.0.0.1", "no IP address"),
        ("[::1]", "no port and is no IP address"),
        ("::1", "no IP address"),
        ("1.2.3", "no IP address"),
        ("0x7f.0x1", "no IP address"),
        ("8\u30028\u30028\u30028", "no IP address"),
        ("com", "no domain that anybody can own"),
        ("*.com", "no domain that anybody can own"),
        ("co.uk", "no domain that anybody can own"),
        ("localhost", "no domain that anybody can own"),
        ("shop.localhost", "no domain that anybody can own"),
        ("printer.local", "no domain that anybody can own"),
        ("apps.example.org", "hostd's own"),
        ("SHOP.apps.example.org", "hostd's own"),
        ("*.apps.example.org", "hostd's own"),
        ("hostd.example.net", "hostd's own"),
        ("_x.example.com", "1 to 63 letters"),
        ("a" * 64 + ".com", "1 to 63 letters"),
        ("-a.com", "1 to 63 letters"),
        ("a..com", "1 to 63 letters"),
        ("www.*.com", "1 to 63 letters"),
        ("*.*.example.com", "1 to 63 letters"),
        ("a b.com", "1 to 63 letters"),
        ("a\n.com", "1 to 63 letters"),
        ("a\x00.com", "1 to 63 letters"),
        ("", "1 to 63 letters"),
        ("*", "1 to 63 letters"),
        (".".join(["a" * 62] * 4) + ".com", "at most 253"),
        ("\u202eexample.com", "no domain has"),
    ],
)
def test_what_cannot_be_a_domain_is_refused_with_the_rule(text: str, rule: str) -> None:
    with pytest.raises(Invalid, match=rule):
        host_of(text, BASE, HOSTD)


def test_people_see_a_domain_as_they_write_it() -> None:
    assert replace(WWW, host="www.xn--bcher-kva.example").readable == "www.b\u00fccher.example"
    assert replace(WWW, host="xn--a.com").readable == "xn--a.com"  # stands for a control character


def test_the_records_to_set_are_the_proof_and_the_way_here() -> None:
    proof = Record("_hostd.www.example.com", "TXT", "hostd-1")
    ours = ["203.0.113.7", "2001:db8::7"]
    way = Record("www.example.com", "CNAME", "shop.apps.example.org")
    assert WWW.records("shop.apps.example.org", ours) == [proof, way]
    addresses = [Record("example.co.uk", "A", ours[0]), Record("example.co.uk", "AAAA", ours[1])]
    assert replace(WWW, host="example.co.uk").records("shop.apps.example.org", ours)[1:] == addresses
    assert [each.type for each in WWW.records("shop.localhost", ours)] == ["TXT", "A", "AAAA"]


def test_a_wildcard_is_proved_in_its_zone() -> None:
    wildcard = replace(WWW, host="*.example.com")
    assert wildcard.records("shop.apps.example.org", []) == [
        Record("_hostd.example.com", "TXT", "hostd-1"),
        Record("*.example.com", "CNAME", "shop.apps.example.org"),
    ]
    assert wildcard_over("www.example.com") == wildcard_over("*.example.com") == "*.example.com"


def test_looks_come_later_and_later_but_at_least_four_times_a_day() -> None:
    waits = [wait_after(tries) for tries in range(200)]
    assert waits[:3] == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]
    assert waits[-1] == timedelta(hours=6)
