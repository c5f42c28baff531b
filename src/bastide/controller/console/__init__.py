"""The console: server-rendered pages under ``/``, live by server-sent events, nothing from elsewhere.

``install.install(app, checkpoint_key)`` adds it to the API's app; it uses the API's sessions, rules and ``Deps``.
"""
