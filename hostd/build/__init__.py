"""Turns a Source into an Image: the lifecycle of Cloud Native Buildpacks, Buildpack API 0.12.

`wiring` makes the Lifecycle, `control` calls it as its Builder. Begin with lifecycle.py. The files detect,
environment, image, results and recipe decide; scratch, sandbox, detection, phases, layers, trees and fold do. To add a
Buildpack, add a directory to buildpacks/ and a line to its order.toml: nothing changes here.
"""
