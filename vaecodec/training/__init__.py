"""A folder of pictures to a weight file. May import codec and below."""
