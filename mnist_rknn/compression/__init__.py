"""The compression lab: smaller networks and smaller files, each measured on what it makes.

Notebooks 11 to 13. May import all but `deployment`. The table that its rows go into is kept by
`verification.tradeoffs`, as the report draws it too.
"""
