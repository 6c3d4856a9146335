"""The compression lab: smaller networks and smaller files, each measured on what it makes.

Notebooks from 11 on. May import all but `deployment`. The table that its rows go into is kept by
`verification.tradeoffs`, as the report draws it too.
"""
