"""`python -m striate` is `striate`."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="striate")
