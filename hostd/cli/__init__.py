"""hostd.cli"""
