"""hostd.git"""
