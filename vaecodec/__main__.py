"""`python -m vaecodec` is the `vaecodec` command."""

from vaecodec.cli import main

if __name__ == "__main__":
    main(prog_name="vaecodec")
