"""The server: the HTTP API, the pages, and the processes that verify what is submitted."""
