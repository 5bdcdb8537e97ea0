"""`python -m striate` is `striate`."""

from striate_start import main

if __name__ == "__main__":
    main()
