"""What the pages show, as plain functions over the ports: they read, count and find words, and know nothing of HTML."""
