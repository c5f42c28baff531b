"""Proof that rules do what a profile says: probes from an interpreter of its own, judged by what really arrives.

Nothing here imports the compiler or what it is made of; a test holds that. What both share is the reading of the file
and the words for a site.
"""
