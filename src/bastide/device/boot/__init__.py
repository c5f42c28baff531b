"""The rules of a boot chain: what is a good image, which slot is started, when the counter is raised."""
