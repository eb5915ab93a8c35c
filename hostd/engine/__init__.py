"""What runs Instances. `control` uses an Engine through `base.Engine`; it imports nobody of its own height.

To add one: a file with a class that satisfies `base.Engine`, and its line in ENGINES of the contract tests.
"""
