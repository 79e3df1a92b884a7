"""`python -m kdflow` is `kdflow`."""

from kdflow.cli.main import main

if __name__ == "__main__":
    main()
