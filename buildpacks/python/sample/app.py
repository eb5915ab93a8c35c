"""A guest book of one page: shows what was pushed, and takes a greeting."""

import os
from datetime import UTC, datetime

from flask import Flask, redirect, render_template, request

app = Flask(__name__)
started = datetime.now(UTC)
greetings: list[str] = []


@app.get("/")
def home() -> str:
    return render_template(
        "home.html",
        release=os.environ.get("HOSTD_RELEASE", "on my machine"),
        started=started,
        greetings=greetings[-5:][::-1],
    )


@app.post("/greetings")
def greet():
    if text := request.form.get("text", "").strip()[:80]:
        greetings.append(text)
    return redirect("/", code=303)


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}
