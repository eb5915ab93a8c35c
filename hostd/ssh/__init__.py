"""The SSH edge: git and nothing else. Imported by `hostd.wiring` and nobody else.

`algorithms` is what is spoken, `server` the listener and who gets in, `session` what one command does.
"""
