"""The commands that run the collector, or work on its database; `collector.cli` lists them."""
