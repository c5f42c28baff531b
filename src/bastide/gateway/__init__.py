"""The gateway's processes: ``python -m bastide.gateway``. A starter, the keeper of rules, and the link to the controller.

- The **keeper** alone may change rules (CAP_NET_ADMIN and nothing else) and has no network of its own to speak of: it hears
  the link on a socket pair, checks every signature itself, and keeps the plan on the disk.
- The **link** has no privilege: it speaks with the broker, and answers the devices' questions for names.
- The starter starts both, and again when one ends. Rules stay in the kernel whatever happens to any of them.
"""
