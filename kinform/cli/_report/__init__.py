"""Reports of commands: sections with tables and charts."""
