"""The HTTP edge: git and the API. Imported by `hostd.wiring` and nobody else.

To add a route: a function in the module of its noun, a row in `gate.POLICY`, models with examples in `models`.
"""
