"""How good a picture is, and how much better a codec. May import errors only."""
