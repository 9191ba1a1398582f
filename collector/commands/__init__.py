"""The commands that work on stored records, one module each; `collector.cli` lists them."""
