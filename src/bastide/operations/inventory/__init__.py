"""What there is: which sightings are one device, what is known of it and from whom, what changed, and how people write it down.

A device is not a MAC address. ``sighting`` says by which keys a device that was only seen is known again; ``attributes`` keeps
every statement with its source, time and confidence, and shows where they contradict each other; ``changes`` names what is
new in a fold; ``search`` and ``sheet`` are how people find, take out and bring in.
"""
