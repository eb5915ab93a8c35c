"""The verbs. Everything that changes something for a user is a function here; edges call them, nothing else does.

They get what they work with in `Platform` (built by `hostd.wiring`) and never import an edge.
"""
