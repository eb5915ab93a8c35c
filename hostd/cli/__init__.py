"""The command line: thin, speaks HTTP to a server; only `serve`, `doctor` and `admin` work on this machine itself.

To add a command: a function in the module of its noun, registered in `main`. Whatever reads has `--json`. Import
what is slow (httpx, rich tables) inside the function that needs it: `hostd --help` must be quick.
"""
