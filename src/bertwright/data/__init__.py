"""Raw text to token shards, token shards to batches."""
