"""`python -m mlops_assets.cli` is the command `mlops`."""

from mlops_assets.cli.main import main

main()
