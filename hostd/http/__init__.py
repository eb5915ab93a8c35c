"""hostd.http"""
