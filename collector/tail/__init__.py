"""Live tail: records as they are stored, over Server-Sent Events and WebSocket."""
