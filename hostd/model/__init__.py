"""The nouns: frozen values, tables of moves, parsing. No I/O, no clock, no randomness.

Everyone may import them; they import only `errors`. A new noun is a new file with its name.
"""
