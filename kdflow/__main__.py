"""`python -m kdflow` is `kdflow`."""

from kdflow.cli import main

if __name__ == "__main__":
    main()
