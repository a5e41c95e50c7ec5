"""The service behind `xmc serve`: models over HTTP, and a page to try them on. Needs the extra
xmc-trees[serve]; nothing outside this folder knows of it but the command.
"""
