"""`python -m workers.check`: read the configuration as every process does when it starts, and say what is in it."""

from __future__ import annotations

import sys

from workers.start import settings_or_exit


def main() -> None:
    """Exit 0 and say how many accounts there are, or 2 and one line that names file, line, key and mend."""
    settings = settings_or_exit()
    many = len(settings.accounts)
    sys.stdout.write(f"{many} {'account' if many == 1 else 'accounts'}\n")


if __name__ == "__main__":
    main()
