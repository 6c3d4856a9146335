"""What goes onto the module, and the way there over ssh.

No notebook: `mnist-rknn deploy` and `mnist-rknn board`. May import everything.
"""
