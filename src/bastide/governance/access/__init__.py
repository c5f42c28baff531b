"""Access: who may do what, to which devices, and how they show that they are who they are. Rules only.

A request is made in the name of a :class:`principal.Principal`: a person, signed in or through one of their API tokens.
What it may do is one row of the table in :mod:`roles`; to which devices, a :class:`scope.Scope`. Both are closed: what is
not in the table is refused, and a token never may more than its owner.
"""
