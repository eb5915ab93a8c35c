#!/bin/bash
# Whatever is on the machine can serve: here Python's own file server.
exec python3 -m http.server "$PORT" --bind 0.0.0.0 --directory site
