"""hostd.store"""
