"""A simulated fleet: each device has its own key, enrols over EST and speaks MQTT over mutual TLS like a real one.

``behaviour`` is what devices measure (values, no I/O), ``identity`` keys and files, ``est`` and ``mqtt`` the two
protocols as a device speaks them.
"""
