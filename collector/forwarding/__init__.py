"""
Sending stored records on to other systems; docs/forwarding.md describes it to operators.

A destination is a reader of the table with a position (`storage.follower`), so what waits for
one that is away is in the table and nowhere else. `delivery` moves the position over what is
settled, a `target.Target` speaks the destination's language, `http` does what those that speak
HTTP have in common, and `settings` is what all can be told.
"""
