"""hostd: git push, and the code is live."""
