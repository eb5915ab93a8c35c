"""The `hostd` command."""


def main() -> None:
    """Run the command line."""
    from hostd.cli.main import run

    run()


if __name__ == "__main__":
    main()
