"""`python -m pantala` is `pantala`."""

from pantala.cli.main import main

main()
