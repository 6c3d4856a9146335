"""Exercises of the notebooks 00 to 10: what is right, and what to say about likely mistakes.

A notebook asks after its step has ended, so nothing here shapes a result. The lab's exercises are
the lab's own. May import every wing below `verification`, and the ground.
"""
