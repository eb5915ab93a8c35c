"""The `hostd` command."""

import sys


def main() -> None:
    """Run the command line. What git waits for in every push, its credential helper, is kept free of imports."""
    if sys.argv[1:3] == ["git", "credential"]:
        from hostd.cli.credential import answer

        sys.exit(answer(sys.argv[3:], sys.stdin, sys.stdout))
    from hostd.cli.main import run

    run()


if __name__ == "__main__":
    main()
