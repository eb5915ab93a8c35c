"""Forges: what GitHub, GitLab and Gitea say and want to be told. Each file of that kind is one `Dialect`, and pure.

`control` imports it. To add a kind: a file with its Dialect, a member of `model.forge.Kind`, a line in `dialects`.
`addresses` finds where a forge may be connected to, `reporting` sends.
"""
