"""The command `xmc`, one file per subcommand. Nothing heavy is imported before a command runs: help
is instant.
"""
