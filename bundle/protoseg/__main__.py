"""`python -m protoseg` is the command `protoseg`, for where that is not on the path."""

from protoseg.cli import main

if __name__ == "__main__":
    main()
