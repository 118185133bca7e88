"""The WebSocket client of a broadcaster."""
