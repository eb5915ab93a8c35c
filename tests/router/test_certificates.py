"""Which hosts have a certificate."""

from pathlib import Path

import pytest

from hostd.router.certificates import Certificates, self_signed


@pytest.mark.parametrize(
    ("kept", "has", "has_not"),
    [
        ("shop.test", ["shop.test"], ["www.shop.test", "test", "xshop.test"]),
        ("*.shop.test", ["www.shop.test"], ["shop.test", "a.www.shop.test"]),
        ("base.test", ["base.test", "shop.base.test"], ["fix.shop.base.test"]),
    ],
)
def test_a_pair_stands_for_its_host_and_a_zones_for_what_is_one_label_below(
    tmp_path: Path, kept: str, has: list[str], has_not: list[str]
) -> None:
    certificates = Certificates(tmp_path, "base.test")
    certificates.prepare()
    assert not any(certificates.has(host) for host in has)
    certificates.keep(kept, *self_signed(kept))
    assert all(certificates.has(host) for host in has)
    assert not any(certificates.has(host) for host in has_not)
