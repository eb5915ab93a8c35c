"""Pure: what a client sees when no app answers. Codes are Heroku's, so that people can look them up.

`status` is ours where Heroku says 503 to everything: a time limit is 504, a broken answer 502.
"""

import json
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True)
class Page:
    """`retry_after` in seconds; 0 leaves the header out."""

    status: int
    title: str
    text: str
    retry_after: int = 0


_RETRY = "Try again in a moment."
PAGES = {
    "H10": Page(503, "The app crashed", "It is being started again. " + _RETRY, 5),
    "H12": Page(504, "The app did not answer in time", "It has the request but sent nothing back."),
    "H13": Page(502, "The app closed the connection", "It ended the connection without an answer."),
    "H14": Page(503, "The app has no web process", "None is scaled up: hostd ps scale web=1"),
    "H17": Page(502, "The app's answer is not HTTP", "Its first bytes could not be understood."),
    "H19": Page(503, "The app cannot be reached", "Connecting to it took too long. " + _RETRY, 5),
    "H20": Page(503, "The app did not wake in time", "It was asleep and is slow to start. " + _RETRY, 5),
    "H21": Page(503, "The app refused the connection", "It may be starting or have crashed. " + _RETRY, 5),
    "H26": Page(400, "Bad request", "The request could not be understood."),
    "H80": Page(503, "Down for maintenance", "The people who run this app will be back.", 60),
    "H81": Page(404, "No such app", "No app has this name, or nothing was pushed to it yet."),
    "H99": Page(503, "Not available at the moment", "The platform is starting. " + _RETRY, 5),
    "401": Page(401, "A password is needed", "Any user name, and the password of this app's previews."),
    "404": Page(404, "Not found", "There is nothing at this address."),
    "405": Page(405, "Method not allowed", "This address does not take it."),
    "408": Page(408, "Request timed out", "The request did not arrive in time."),
    "414": Page(414, "The address is too long", "At most 8 KiB are taken."),
    "501": Page(501, "Not implemented", "The request asks for something that the router does not do."),
    "505": Page(505, "HTTP version not supported", "HTTP/1.0, 1.1 and 2 are."),
    "431": Page(431, "The headers are too large", "At most 8 KiB in a line and 32 KiB in all are taken."),
}


def pages_json() -> bytes:
    """All pages by code, for the Lua side, which puts the request's id where `{request_id}` stands."""
    pages = {
        code: {"status": page.status, "html": html(code, page)}
        | ({"retry_after": page.retry_after} if page.retry_after else {})
        for code, page in PAGES.items()
    }
    return json.dumps(pages, indent=1).encode()


def html(code: str, page: Page) -> str:
    """The page as HTML, small enough for one packet."""
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{escape(page.title)}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem;color:#222}}
h1{{font-size:1.5rem}}small{{color:#767676}}@media(prefers-color-scheme:dark){{body{{background:#111;color:#ddd}}}}</style>
<h1>{escape(page.title)}</h1>
<p>{escape(page.text)}</p>
<p><small>{code} &middot; {{request_id}}</small></p>
</html>
"""
