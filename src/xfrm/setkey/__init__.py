"""setkey's language and what it prints: no socket and no file in here."""
