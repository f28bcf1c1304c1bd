"""Many files: which output each gets, what is done to it, and the work given out and taken back."""
