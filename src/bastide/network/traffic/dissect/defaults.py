"""The name and password pairs that devices are shipped with and that worms try first.

A short list of our own of what is public knowledge; ``is_default`` only answers yes or no and keeps nothing.
"""

_PAIRS = frozenset(
    tuple(line.split(":", 1))
    for line in """
admin:
admin:admin
admin:password
admin:1234
admin:12345
admin:123456
admin:1111
admin:111111
admin:4321
admin:54321
admin:9999
admin:7ujMko0admin
admin:meinsm
admin:pass
admin:smcadmin
admin:default
admin:root
admin1:password
administrator:1234
administrator:admin
Administrator:
Administrator:admin
root:
root:root
root:admin
root:password
root:pass
root:toor
root:1234
root:12345
root:123456
root:54321
root:666666
root:888888
root:default
root:system
root:user
root:xc3511
root:vizxv
root:xmhdipc
root:juantech
root:klv123
root:klv1234
root:Zte521
root:hi3518
root:jvbzd
root:anko
root:zlxx.
root:7ujMko0vizxv
root:7ujMko0admin
root:ikwb
root:dreambox
root:realtek
root:00000000
666666:666666
888888:888888
default:default
default:
guest:guest
guest:12345
guest:
mother:fucker
pi:raspberry
service:service
supervisor:supervisor
support:support
tech:tech
ubnt:ubnt
user:user
user:password
user:1234
test:test
operator:operator
cisco:cisco
mqtt:mqtt
public:public
""".strip().splitlines()
)


def is_default(user: str, password: str) -> bool:
    """True where the pair is one that devices are shipped with."""
    return (user, password) in _PAIRS
