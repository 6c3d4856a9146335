"""The steps of a run: what is up to date, how a notebook is run, and on which machine.

Notebook 00, and every notebook's `runs.Run`. May import all but `verification` and `deployment`.
`environment` needs nothing that is to be installed: it looks at the machine before that.
"""
