"""What the commands share: options, streams, messages, progress, many files.

May import codec and below.
"""
