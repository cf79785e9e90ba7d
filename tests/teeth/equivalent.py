"""Changes that change nothing that anybody could see, each with its reason: `make mutation` leaves them out.

The key is `module:line without white space:what was changed`, as `make mutation` tells it.
"""

EQUIVALENT: dict[str, str] = {}
