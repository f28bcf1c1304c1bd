"""What `vaecodec --help` lists, a file each.

May import every other package; no command imports another.
"""
