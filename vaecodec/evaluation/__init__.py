"""Codecs measured, compared and shown: own and reference ones. May import codec and below."""
