"""Speech on demand: one text, many requests in shared batches, an HTTP server."""
