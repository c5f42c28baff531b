"""What a gateway does: keeps rules, tells what they did, answers its devices' questions for names."""
