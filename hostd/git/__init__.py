"""Git: C git takes and gives bytes and writes work trees, dulwich reads. Nothing here knows what a push is for.

`repos` makes and keeps repositories, `receive` is one `git push` as the server sees it, `export` writes a commit's
tree to disk, `reading` answers questions about objects, `fetch` is one `git fetch` or `git clone`, `remote` a
repository elsewhere.
"""
