"""Telling a forge: one POST to its API, to an address that was checked, a few times if it does not get through."""

import asyncio
import ssl
from urllib.parse import urlsplit

import httpx

from hostd.forges.addresses import address_of
from hostd.forges.base import Call

PATIENCE = 5.0  # seconds for one try
WAITS = (0.5, 2.0)  # seconds before the second and third


async def send(call: Call, *, private: bool) -> str:
    """POST it. Returns "" once it is taken, else why not, in words; raises Invalid, Unavailable as `address_of`."""
    address = await address_of(call.url, private=private)
    failure = ""
    for wait in (0.0, *WAITS):
        await asyncio.sleep(wait)
        try:
            status = await _post(call, address)
        except (httpx.HTTPError, TimeoutError) as error:
            failure = f"{type(error).__name__} {error}".strip()
            continue
        if httpx.codes.is_success(status):
            return ""
        failure = f"it answered {status}"
        if status < 500:
            break  # it will say the same again
    return f"{urlsplit(call.url).hostname} was not told: {failure}"


async def _post(call: Call, address: str) -> int:
    """The status it answers with. What it says beside is not read: there may be no end of it."""
    url = httpx.URL(call.url)
    headers = {**call.headers, "Host": url.netloc.decode(), "User-Agent": "hostd"}
    async with (
        asyncio.timeout(PATIENCE),
        httpx.AsyncClient(
            verify=ssl.create_default_context(), trust_env=False, timeout=PATIENCE, follow_redirects=False
        ) as client,
        client.stream(
            "POST",
            url.copy_with(host=address),
            headers=headers,
            json=dict(call.body),
            extensions={"sni_hostname": url.host},
        ) as answer,
    ):
        return answer.status_code
