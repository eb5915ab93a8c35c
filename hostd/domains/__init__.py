"""What the world outside knows of host names: the DNS, and who answers at them. `control` says what it is asked for.

`wiring` makes what is in here; nothing in here knows of Apps.
"""
