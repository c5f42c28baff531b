"""What other tools found in the shared captures, beside what we find."""
