"""hostd.build"""
